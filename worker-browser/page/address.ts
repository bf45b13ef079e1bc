import { parseToken } from '../../shared/coordinator-link.ts';

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
