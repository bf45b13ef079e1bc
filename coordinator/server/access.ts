import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';

/** By which names browsers may call this server. */
export interface HostRule {
  /** What the server was told to listen on. */
  readonly host: string;
  /** Whether any will do: a token, or a certificate for the right name, keeps out whoever has no business here. */
  readonly allowsAnyHost: boolean;
}

/**
 * Whether a WebSocket may be opened. Pages of other sites must not make their visitors join: a browser says whose page it
 * is, and that has to be our own. Where nothing else protects, the name that it calls us by has to be ours as well, since
 * anybody may have a name of theirs lead to this machine (DNS rebinding). Programs send no Origin and may connect.
 */
export function isOriginAllowed({ headers }: Pick<IncomingMessage, 'headers'>, rule: HostRule): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return true;
  if (!URL.canParse(origin) || new URL(origin).host !== host) return false;
  return rule.allowsAnyHost || isOwnHost(new URL(origin).hostname, rule.host);
}

/** Why a browser may not connect, with both names: what the person behind the coordinator can change. */
export function explainOriginRefusal({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const origin = sanitizeHeader(headers.origin);
  const host = sanitizeHeader(headers.host);
  if (URL.canParse(origin) && new URL(origin).host === host) {
    return `A browser calls this machine ${host}, which is none of its names. With --token or --https, any name will do.`;
  }
  return (
    `A browser's page is from ${origin}, but its request came for ${host}. ` +
    'Behind a reverse proxy, have the proxy pass the Host header on (docs/reverse-proxy.md).'
  );
}

/** A stranger's words, which end up in a terminal. */
const sanitizeHeader = (header: string | undefined): string =>
  sanitizeForTerminal(header ?? 'nowhere').slice(0, 100);

/**
 * Whether a request without a token may be answered with what the run's own people may know: it has to call this server
 * by a name of its own, since a page of another site may have its name lead to this machine (DNS rebinding).
 */
export function isHostAllowed({ headers }: Pick<IncomingMessage, 'headers'>, rule: HostRule): boolean {
  if (rule.allowsAnyHost) return true;
  const address = `http://${headers.host ?? ''}`;
  return URL.canParse(address) && isOwnHost(new URL(address).hostname, rule.host);
}

function isOwnHost(name: string, listensOn: string): boolean {
  const own = hostname().toLowerCase();
  return (
    isIP(name.replace(/^\[|\]$/g, '')) !== 0 ||
    ['localhost', own, `${own}.local`, listensOn.toLowerCase()].includes(name.toLowerCase())
  );
}
