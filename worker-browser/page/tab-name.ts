import type { KeyValueStore } from './storage.ts';

// The name under which the coordinator lists this tab.

/** Longest name that a person may choose. */
export const MAX_NAME_LENGTH = 40;

const STORAGE_KEY = 'gradcast.name';
const PARAMETER = 'name';

/** A name as the page sends it: in one line, without what cannot be read, and not longer than the table has room for. */
export function cleanName(typed: string): string {
  const line = typed.replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  // By characters, as half of a surrogate pair cannot be sent.
  return Array.from(line).slice(0, MAX_NAME_LENGTH).join('').trim();
}

/**
 * The name that a person has chosen: that of the address, or else the one that this browser has kept.
 * @param href the page's address
 * @returns empty if there is none
 */
export function loadName(href: string, storage: () => Pick<KeyValueStore, 'getItem'>): string {
  const named = cleanName(new URL(href).searchParams.get(PARAMETER) ?? '');
  if (named !== '') return named;
  try {
    return cleanName(storage().getItem(STORAGE_KEY) ?? '');
  } catch {
    // The browser's settings may forbid pages to store data.
    return '';
  }
}

export function saveName(storage: () => Pick<KeyValueStore, 'setItem'>, name: string): void {
  try {
    storage().setItem(STORAGE_KEY, name);
  } catch {
    // Without storage the name lasts until the tab is closed.
  }
}

/** The same address without a name. */
export function withoutName(href: string): string {
  const url = new URL(href);
  // Deleting what is not there would still write the other parameters anew.
  if (url.searchParams.has(PARAMETER)) url.searchParams.delete(PARAMETER);
  return url.href;
}

/** In order of search: most browsers also name others in their user agent. */
const BROWSERS = [
  ['Edge', /Edg(?:e|A|iOS)?\//],
  ['Opera', /OPR\//],
  ['Samsung Internet', /SamsungBrowser\//],
  ['Firefox', /(?:Firefox|FxiOS)\//],
  ['Chrome', /(?:Chrome|CriOS)\//],
  ['Safari', /Safari\//],
] as const;

const SYSTEMS = [
  ['Android', /Android/],
  ['iPhone', /iPhone/],
  ['iPad', /iPad/],
  ['Windows', /Windows/],
  ['macOS', /Macintosh/],
  ['ChromeOS', /CrOS/],
  ['Linux', /Linux/],
] as const;

/** A name by which a person finds this tab among the workers, such as 'Firefox on Windows'. */
export function browserName(userAgent: string): string {
  const find = (names: readonly (readonly [string, RegExp])[]): string | undefined =>
    names.find(([, pattern]) => pattern.test(userAgent))?.[0];
  const system = find(SYSTEMS);
  return (find(BROWSERS) ?? 'Browser') + (system === undefined ? '' : ` on ${system}`);
}
