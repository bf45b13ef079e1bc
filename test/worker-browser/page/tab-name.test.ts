import { expect, it } from 'vitest';
import {
  browserName,
  cleanName,
  loadName,
  MAX_NAME_LENGTH,
  saveName,
  withoutName,
} from '../../../worker-browser/page/tab-name.ts';

function memory(): { getItem(key: string): string | null; setItem(key: string, value: string): void } {
  const stored = new Map<string, string>();
  return {
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => void stored.set(key, value),
  };
}

it('remembers the name, which one in the address replaces', () => {
  const storage = memory();
  const load = (href: string): string => loadName(href, () => storage);
  expect(load('http://host/#k3y')).toBe('');
  saveName(() => storage, 'Ann');
  expect(load('http://host/#k3y')).toBe('Ann');
  expect(load('http://host/?name=&watch#k3y')).toBe('Ann');
  expect(load('http://host/?name=Zo%C3%AB%20B#k3y')).toBe('Zoë B');
  saveName(() => storage, '');
  expect(load('http://host/')).toBe('');
});

it('has no name where the browser forbids storage', () => {
  const forbidden = (): never => {
    throw new Error('SecurityError');
  };
  expect(loadName('http://host/', forbidden)).toBe('');
  expect(loadName('http://host/?name=ANN', forbidden)).toBe('ANN');
  expect(() => saveName(forbidden, 'Ann')).not.toThrow();
});

it.each([
  ['  Ann  ', 'Ann'],
  ['Ann\n\u0007\u202eB', 'Ann B'],
  ['\u200b', ''],
  ['x'.repeat(50), 'x'.repeat(MAX_NAME_LENGTH)],
  ['🦊'.repeat(50), '🦊'.repeat(MAX_NAME_LENGTH)],
])('cleans %j', (typed, name) => {
  expect(cleanName(typed)).toBe(name);
});

it('takes the name out of an address, and leaves the rest as it is', () => {
  expect(withoutName('http://host/?name=ANN#k3y')).toBe('http://host/#k3y');
  expect(withoutName('http://host/?watch#k3y')).toBe('http://host/?watch#k3y');
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
