import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatCoordinatorLink,
  invalidLinkMessage,
  parseCoordinatorLink,
} from '../../../shared/protocol/coordinator-link.ts';
import { checkProperty } from '../../support/property.ts';

describe('a link to a coordinator', () => {
  it.each([
    ['http://192.168.1.20:2718', 'ws://192.168.1.20:2718/'],
    ['http://192.168.1.20:2718/', 'ws://192.168.1.20:2718/'],
    ['https://lab.example.org', 'wss://lab.example.org/'],
    ['ws://127.0.0.1:2718', 'ws://127.0.0.1:2718/'],
    ['wss://127.0.0.1:2718', 'wss://127.0.0.1:2718/'],
    ['HTTP://LAB-7:2718', 'ws://lab-7:2718/'],
    ['127.0.0.1:2718', 'ws://127.0.0.1:2718/'],
    ['localhost:2718', 'ws://localhost:2718/'],
    ['lab-7:2718/', 'ws://lab-7:2718/'],
    ['[::1]:2718', 'ws://[::1]:2718/'],
    ['http://[fe80::1]:2718/', 'ws://[fe80::1]:2718/'],
    ['https://lab.example.org/gradcast', 'wss://lab.example.org/gradcast/'],
    ['https://lab.example.org/a/b/', 'wss://lab.example.org/a/b/'],
    ['lab-7:2718/gradcast', 'ws://lab-7:2718/gradcast/'],
    ['http://lab-7:2718/?watch', 'ws://lab-7:2718/'],
    ['  http://lab-7:2718/ ', 'ws://lab-7:2718/'],
  ])('%s is parsed as %s', (text, url) => {
    expect(parseCoordinatorLink(text)).toEqual({ url });
  });

  it.each([
    ['http://lab-7:2718/#s3cret', 's3cret'],
    ['http://lab-7:2718/#token=s3cret', 's3cret'],
    ['ws://lab-7:2718#s3cret', 's3cret'],
    ['lab-7:2718#s3cret', 's3cret'],
    ['lab-7:2718/?watch#s3%20cret', 's3 cret'],
    ['lab-7:2718/#100%', '100%'],
    ['lab-7:2718/#token%3Ds3cret', 'token=s3cret'],
  ])('%s contains the token %s', (text, token) => {
    expect(parseCoordinatorLink(text)).toEqual({ url: 'ws://lab-7:2718/', token });
  });

  it('has the fingerprint of a certificate as a query, with the token behind it', () => {
    const fingerprint = Array(32).fill('AB').join(':');
    const link = { url: 'wss://lab-7:2718/', token: 's3cret', fingerprint };
    const text = `https://lab-7:2718/?sha256=${'ab'.repeat(32)}#s3cret`;
    expect(formatCoordinatorLink(link)).toBe(text);
    expect(parseCoordinatorLink(text)).toEqual(link);
    expect(parseCoordinatorLink(`https://lab-7:2718/?watch&sha256=${fingerprint}#s3cret`)).toEqual(link);
    const encoded = encodeURIComponent(fingerprint);
    expect(parseCoordinatorLink(`https://lab-7:2718/?SHA256=${encoded}#s3cret`)).toEqual(link);
  });

  const hex = 'ab'.repeat(32);
  it.each([
    'sha256=ab',
    'sha256',
    `sha256=${hex.slice(1)}`,
    `sha256=${hex}?watch`,
    `watch?sha256=${hex}`,
    'SHA256=',
    `sha256=${hex}&sha256=${hex.replace('ab', 'cd')}`,
  ])('is invalid if its query is %s: without a fingerprint, other certificates would be trusted', (query) => {
    const link = `https://lab-7:2718/?${query}#s3cret`;
    expect(parseCoordinatorLink(link)).toBeNull();
    expect(invalidLinkMessage(link)).toContain('the 64 hex digits of one certificate');
  });

  it('is printed without its token if it is wrong', () => {
    expect(invalidLinkMessage('htps://lab-7:2718/#s3cret')).toBe(
      "'htps://lab-7:2718/#...' is not the address of a coordinator. It looks like http://192.168.1.20:2718.",
    );
  });

  it.each([
    '',
    'lab-7',
    'here',
    'http://',
    'ftp://lab-7:2718',
    'file:///etc/passwd',
    'javascript:alert(1)',
    ':2718',
  ])('is not %j', (text) => {
    expect(parseCoordinatorLink(text)).toBeNull();
  });

  it('is parsed to the values that it was formatted from, for any token', () => {
    checkProperty(
      fc.property(fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' }), (token) => {
        const link = { url: 'wss://lab.example.org/prefix/', token };
        expect(parseCoordinatorLink(formatCoordinatorLink(link))).toEqual(link);
      }),
      { seed: 7 },
    );
  });
});
