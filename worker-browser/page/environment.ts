import { parseToken } from '../../shared/protocol/coordinator-link.ts';
import type { KeyValueStore } from './storage.ts';
import { withoutName } from './tab-name.ts';

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
  // A name in the address is that of this device.
  const url = new URL(withoutName(withWatchOnly(href, false)));
  if (!isOnLoopback(href)) return url.href;
  const [address] = addresses;
  return address === undefined || !URL.canParse(address) ? null : address + url.hash;
}

/** Whether the address has ?watch, for a page that only watches. */
export const isWatchOnly = (href: string): boolean => new URL(href).searchParams.has('watch');

/** The same address with ?watch, or without. */
export function withWatchOnly(href: string, watchOnly: boolean): string {
  const url = new URL(href);
  if (!watchOnly) url.searchParams.delete('watch');
  else if (!isWatchOnly(href)) url.search += url.search === '' ? '?watch' : '&watch';
  return url.href;
}

const STORAGE_KEY = 'gradcast.share';
const SHARES: readonly string[] = ['25', '50', '75', '100'];
const DEFAULT_SHARE = '100';

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
