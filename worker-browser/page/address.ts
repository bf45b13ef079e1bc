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
export function tokenOf(href: string): string | undefined {
  const fragment = new URL(href).hash.slice(1);
  if (fragment === '') return undefined;
  try {
    return decodeURIComponent(fragment);
  } catch {
    // A % that escapes nothing: the token as it is.
    return fragment;
  }
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
