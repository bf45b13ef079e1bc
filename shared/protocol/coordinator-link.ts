/** Address of a coordinator, and what else its link says. */
export interface CoordinatorLink {
  /** ws: or wss:, without query and fragment. */
  readonly url: string;
  readonly token?: string;
  /** SHA-256 of the one certificate to trust, as Node writes it: AB:CD:... @default certificates that this machine trusts */
  readonly fingerprint?: string;
}

interface ParsedUrl {
  readonly protocol: string;
  readonly hostname: string;
  readonly host: string;
  readonly pathname: string;
  readonly searchParams: Iterable<readonly [string, string]>;
  readonly hash: string;
}

/** Global of Node and browsers, which the types of the language do not include. */
const { URL } = globalThis as unknown as {
  readonly URL: { new (text: string): ParsedUrl; canParse(text: string): boolean };
};

/** Address without a scheme: `lab-7:2718`, `127.0.0.1:2718/prefix`, `[::1]:2718`. */
const HOST_AND_PORT = /^(\[[\da-f:.]+\]|[\w.-]+):\d{1,5}(?=$|[/?#])/i;
const SHA256 = /sha256/i;
const SOCKET_SCHEME: Readonly<Record<string, string>> = {
  'http:': 'ws:',
  'https:': 'wss:',
  'ws:': 'ws:',
  'wss:': 'wss:',
};

/**
 * Parses a link to a coordinator: http(s)://, ws(s)://, or host:port, each with an optional path prefix and an optional
 * token after the # (`#s3cret` or `#token=s3cret`). `?sha256=` is followed by the fingerprint of a certificate; another query, such as
 * ?watch, is for browsers and is dropped.
 * @returns null if the text is not such a link, also if its fingerprint is damaged: without one, another certificate would be trusted
 */
export function parseCoordinatorLink(text: string): CoordinatorLink | null {
  const trimmed = text.trim();
  const full = HOST_AND_PORT.test(trimmed) ? `ws://${trimmed}` : trimmed;
  if (!URL.canParse(full)) return null;
  const url = new URL(full);
  const scheme = SOCKET_SCHEME[url.protocol];
  if (scheme === undefined || url.hostname === '') return null;
  const token = parseToken(url.hash);
  const [fingerprint, ...others] = findFingerprints(url.searchParams);
  if (fingerprint === null || others.length > 0) return null;
  // A path prefix is a folder, even if its trailing slash is missing.
  const path = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`;
  return {
    url: `${scheme}//${url.host}${path}`,
    ...(token === undefined ? {} : { token }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
  };
}

/** Distinct fingerprints of a query; null for a place that names sha256 and has none. */
function findFingerprints(query: Iterable<readonly [string, string]>): (string | null)[] {
  const pins = [...query]
    .filter((entry) => SHA256.test(entry.join('=')))
    .map(([key, value]) => (key.toLowerCase() === 'sha256' ? parseFingerprint(value) : null));
  return [...new Set(pins)];
}

/** Parses SHA-256 of a certificate, 64 hex digits with or without colons, into Node's form. @returns null if it is none */
export function parseFingerprint(text: string): string | null {
  const digits = text.replaceAll(':', '').toUpperCase();
  return /^[0-9A-F]{64}$/.test(digits) ? (digits.match(/../g) ?? []).join(':') : null;
}

/** Error message for a text that is not a link to a coordinator, without its token. */
export function invalidLinkMessage(text: string): string {
  const shown = text.replace(/#.*/s, '#...');
  const advice = SHA256.test(shown)
    ? 'sha256= takes the 64 hex digits of one certificate, then & or # or the end: copy the link again.'
    : 'It looks like http://192.168.1.20:2718.';
  return `'${shown}' is not the address of a coordinator. ${advice}`;
}

/**
 * Extracts the token from the hash of a link.
 * @param hash hash of a link or of the page's address, with its #
 */
export function parseToken(hash: string): string | undefined {
  const text = hash.replace(/^#(token=)?/, '');
  if (text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    // The token contains a % that is not an escape.
    return text;
  }
}

/**
 * Link for a browser and for `gradcast worker`. The token follows the #, because browsers do not send that part to a
 * server. The fingerprint, which is no secret, is a query, which a browser and other programs ignore.
 */
export function formatCoordinatorLink({ url, token, fingerprint }: CoordinatorLink): string {
  const pin = fingerprint === undefined ? '' : `?sha256=${fingerprint.replaceAll(':', '').toLowerCase()}`;
  const page = `${url.replace(/^ws/, 'http').replace(/\/?$/, '/')}${pin}`;
  return token === undefined ? page : `${page}#${encodeURIComponent(token)}`;
}
