import { parseToken } from '../../shared/protocol/coordinator-link.ts';

/**
 * WebSocket address for workers: the page's host, port and folder, without query and fragment.
 * @param href the page's address, http: or https:
 */
export function socketUrl(href: string): string {
  const url = new URL('.', href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/**
 * The token, which stands behind the # because browsers send that part to no server.
 * @param href the page's address
 */
export const tokenFromUrl = (href: string): string | undefined => parseToken(new URL(href).hash);

/** The same address with another token. */
export function withToken(href: string, token: string): string {
  const url = new URL(href);
  url.hash = encodeURIComponent(token);
  return url.href;
}

/** Whether the page's host name works only on the coordinator's own machine. */
export const isOnLoopback = (href: string): boolean =>
  /^(localhost|127\..*|\[::1\])$/.test(new URL(href).hostname);

/**
 * Address at which other devices open the page.
 * @param href the page's address
 * @param addresses addresses of the page that the coordinator has listed
 * @returns null if only this machine can open it
 */
export function inviteLink(href: string, addresses: readonly string[]): string | null {
  const url = new URL(withWatchOnly(href, false));
  if (!isOnLoopback(href)) return url.href;
  const [address] = addresses;
  return address === undefined || !URL.canParse(address) ? null : address + url.hash;
}

/** Whether the address has ?watch, for a page that only watches. */
export const isWatchOnly = (href: string): boolean => new URL(href).searchParams.has('watch');

/** The same address with ?watch, or without. */
export function withWatchOnly(href: string, watchOnly: boolean): string {
  const url = new URL(href);
  if (watchOnly) url.search = '?watch';
  else url.searchParams.delete('watch');
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

const STORAGE_KEY = 'gradcast.share';
const SHARES: readonly string[] = ['25', '50', '75', '100'];
const DEFAULT_SHARE = '100';

/** The part of the browser's localStorage that is used here. */
export interface KeyValueStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** Share of the time that the tab computes, in percent, as the person chose it last. */
export function loadShare(storage: () => Pick<KeyValueStore, 'getItem'>): string {
  try {
    const stored = storage().getItem(STORAGE_KEY);
    return stored !== null && SHARES.includes(stored) ? stored : DEFAULT_SHARE;
  } catch {
    // The browser's settings may forbid pages to store data.
    return DEFAULT_SHARE;
  }
}

export function saveShare(storage: () => Pick<KeyValueStore, 'setItem'>, percent: string): void {
  try {
    storage().setItem(STORAGE_KEY, percent);
  } catch {
    // Without storage the choice lasts until the tab is closed.
  }
}
