import { describe, expect, it } from 'vitest';
import {
  browserName,
  inviteLink,
  isWatchOnly,
  loadShare,
  saveShare,
  socketUrl,
  tokenFromUrl,
  withToken,
  withWatchOnly,
} from '../../../worker-browser/page/environment.ts';

describe('the address', () => {
  it.each([
    ['http://192.168.1.5:8080/', 'ws://192.168.1.5:8080/'],
    ['http://[::1]:8080/#secret', 'ws://[::1]:8080/'],
    ['https://example.org/', 'wss://example.org/'],
    ['https://example.org/train/?from=mail#secret', 'wss://example.org/train/'],
    ['https://example.org/train/index.html', 'wss://example.org/train/'],
  ])('%s connects to %s', (href, url) => {
    expect(socketUrl(href)).toBe(url);
  });

  it.each([
    ['http://host/', undefined],
    ['http://host/#', undefined],
    ['http://host/#k3y', 'k3y'],
    ['http://host/#two%20words', 'two words'],
    ['http://host/#100%', '100%'],
    ['http://host/#token=k3y', 'k3y'],
  ])('%s holds the token %s', (href, token) => {
    expect(tokenFromUrl(href)).toBe(token);
  });

  it.each(['k3y', 'two words', '100%', '#?&/é'])('holds the token %s as the person has typed it', (token) => {
    expect(tokenFromUrl(withToken('http://host/path/?watch#old', token))).toBe(token);
    expect(withToken('http://host/path/?watch#old', token)).toMatch(/^http:\/\/host\/path\/\?watch#/);
  });

  it('of an invitation works on other devices', () => {
    expect(inviteLink('http://192.168.1.5:2718/?watch#k3y', [])).toBe('http://192.168.1.5:2718/#k3y');
    expect(inviteLink('https://example.org/train/#k3y', ['http://10.0.0.1/'])).toBe(
      'https://example.org/train/#k3y',
    );
    for (const name of ['127.0.0.1', 'localhost', '[::1]']) {
      expect(inviteLink(`http://${name}:2718/#k3y`, ['http://10.0.0.1:2718/'])).toBe(
        'http://10.0.0.1:2718/#k3y',
      );
      expect(inviteLink(`http://${name}:2718/#k3y`, [])).toBeNull();
    }
  });

  it('holds ?watch beside the token', () => {
    expect(isWatchOnly('http://host/?watch#k3y')).toBe(true);
    expect(isWatchOnly('http://host/#watch')).toBe(false);
    expect(withWatchOnly('http://host/#k3y', true)).toBe('http://host/?watch#k3y');
    expect(withWatchOnly('http://host/?watch#k3y', false)).toBe('http://host/#k3y');
  });
});

it.each([
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36', 'Chrome on Linux'],
  [
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0',
    'Edge on Windows',
  ],
  ['Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0', 'Firefox on Android'],
  ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/18 Safari/605', 'Safari on macOS'],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 CriOS/140 Safari/605',
    'Chrome on iPhone',
  ],
  ['', 'Browser'],
])('%s is named %s', (userAgent, name) => {
  expect(browserName(userAgent)).toBe(name);
});

it('remembers the share of time, unless the browser forbids storage', () => {
  const stored = new Map<string, string>();
  const storage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
  };
  expect(loadShare(() => storage)).toBe('100');
  saveShare(() => storage, '25');
  expect(loadShare(() => storage)).toBe('25');
  saveShare(() => storage, '7');
  expect(loadShare(() => storage)).toBe('100');
  const forbidden = (): never => {
    throw new Error('SecurityError');
  };
  expect(loadShare(forbidden)).toBe('100');
  expect(() => saveShare(forbidden, '25')).not.toThrow();
});
