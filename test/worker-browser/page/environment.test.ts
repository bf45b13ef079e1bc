import { describe, expect, it } from 'vitest';
import {
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
    expect(inviteLink('http://192.168.1.5:2718/?name=ANN#k3y', [])).toBe('http://192.168.1.5:2718/#k3y');
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
    const other = 'http://host/?name=Ann%20B&x';
    expect(withWatchOnly(`${other}#k3y`, true)).toBe(`${other}&watch#k3y`);
    expect(withWatchOnly(`${other}&watch#k3y`, true)).toBe(`${other}&watch#k3y`);
  });
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
