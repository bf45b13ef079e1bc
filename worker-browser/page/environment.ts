import { parseToken } from '../../shared/protocol/coordinator-link.ts';

/**
 * Where workers connect, from the page's own address: the same host, port and folder, without query and fragment.
 * @param href of the page, http: or https:
 */
export function socketUrl(href: string): string {
  const url = new URL('.', href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/**
 * The token, which stands behind the # because a browser sends that part to nobody.
 * @param href of the page
 */
export const tokenFromUrl = (href: string): string | undefined => parseToken(new URL(href).hash);

/** The same address with another token. */
export function withToken(href: string, token: string): string {
  const url = new URL(href);
  url.hash = encodeURIComponent(token);
  return url.href;
}

/** Whether the page was opened by a name that leads nowhere but to the coordinator's own machine. */
export const isOnLoopback = (href: string): boolean =>
  /^(localhost|127\..*|\[::1\])$/.test(new URL(href).hostname);

/**
 * The address by which other devices join.
 * @param href of the page
 * @param addresses where the coordinator says that they find the page
 * @returns null if only this machine can
 */
export function inviteLink(href: string, addresses: readonly string[]): string | null {
  const url = new URL(withWatchOnly(href, false));
  if (!isOnLoopback(href)) return url.href;
  const [address] = addresses;
  return address === undefined || !URL.canParse(address) ? null : address + url.hash;
}

/** Whether the page was opened to look on, by ?watch. */
export const isWatchOnly = (href: string): boolean => new URL(href).searchParams.has('watch');

/** The same address with ?watch, or without. */
export function withWatchOnly(href: string, watchOnly: boolean): string {
  const url = new URL(href);
  if (watchOnly) url.search = '?watch';
  else url.searchParams.delete('watch');
  return url.href;
}

/** In the order in which they are looked for: most browsers claim to be several others too. */
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

const KEY = 'gradcast.share';
const SHARES: readonly string[] = ['25', '50', '75', '100'];
const DEFAULT_SHARE = '100';

/** The part of the browser's localStorage that is used here. */
interface KeyValueStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** The share of its time that this browser computes, in percent, as it was chosen last. */
export function loadShare(storage: () => Pick<KeyValueStore, 'getItem'>): string {
  try {
    const stored = storage().getItem(KEY);
    return stored !== null && SHARES.includes(stored) ? stored : DEFAULT_SHARE;
  } catch {
    // Browsers may be set to let pages store nothing.
    return DEFAULT_SHARE;
  }
}

export function saveShare(storage: () => Pick<KeyValueStore, 'setItem'>, percent: string): void {
  try {
    storage().setItem(KEY, percent);
  } catch {
    // Then it holds until the tab is closed.
  }
}
