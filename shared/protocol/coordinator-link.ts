/** Where a coordinator is, and the token that its link carries. */
export interface CoordinatorLink {
  /** ws: or wss:, without query and fragment. */
  readonly url: string;
  readonly token?: string;
}

interface ParsedUrl {
  readonly protocol: string;
  readonly hostname: string;
  readonly host: string;
  readonly pathname: string;
  readonly hash: string;
}

/** Node and browsers have it; the language itself does not. */
const { URL } = globalThis as unknown as {
  readonly URL: { new (text: string): ParsedUrl; canParse(text: string): boolean };
};

/** `lab-7:2718`, `127.0.0.1:2718/prefix`, `[::1]:2718`: an address without a scheme. */
const HOST_AND_PORT = /^(\[[\da-f:.]+\]|[\w.-]+):\d{1,5}(?=$|[/?#])/i;
const SOCKET_SCHEME: Readonly<Record<string, string>> = {
  'http:': 'ws:',
  'https:': 'wss:',
  'ws:': 'ws:',
  'wss:': 'wss:',
};

/**
 * Reads any link to a coordinator: the one that it prints, http(s):// or ws(s)://, or host:port, each with or without a
 * path prefix and a token behind the # (`#s3cret` or `#token=s3cret`). A query such as ?watch is for browsers and is dropped.
 * @returns null for anything else
 */
export function parseCoordinatorLink(text: string): CoordinatorLink | null {
  const trimmed = text.trim();
  const full = HOST_AND_PORT.test(trimmed) ? `ws://${trimmed}` : trimmed;
  if (!URL.canParse(full)) return null;
  const url = new URL(full);
  const scheme = SOCKET_SCHEME[url.protocol];
  if (scheme === undefined || url.hostname === '') return null;
  const token = parseToken(url.hash);
  // A prefix is a folder, also where the slash at its end was not typed.
  const path = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`;
  return { url: `${scheme}//${url.host}${path}`, ...(token === undefined ? {} : { token }) };
}

/** What the error for a person says of anything that is no link. */
export const invalidLinkMessage = (text: string): string =>
  `'${text}' is not the address of a coordinator. It looks like http://192.168.1.20:2718.`;

/** @param hash with its #, of a link or of the page's own address */
export function parseToken(hash: string): string | undefined {
  const text = hash.replace(/^#(token=)?/, '');
  if (text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    // A % that escapes nothing: the token as it is.
    return text;
  }
}

/**
 * The link for a browser and for `gradcast worker`, from an address that workers use. The token stands behind the #, which
 * browsers send to no server.
 */
export function formatCoordinatorLink({ url, token }: CoordinatorLink): string {
  const page = url.replace(/^ws/, 'http').replace(/\/?$/, '/');
  return token === undefined ? page : `${page}#${encodeURIComponent(token)}`;
}
