import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { flagName, type OptionName } from '../../shared/util/option-names.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';

/** Host names under which browsers may reach this server. */
export interface HostRule {
  /** Address that the server listens on. */
  readonly host: string;
  /** Whether any name is accepted, because a token or a certificate already protects the run. */
  readonly allowsAnyHost: boolean;
  /** Origins of other sites whose pages may join. @default none */
  readonly allowedOrigins?: readonly string[] | undefined;
}

/**
 * Whether a WebSocket may be opened. A page of another site must not make its visitors join, so the Origin that a browser
 * sends must be this server, or one that is allowed. Without a token or certificate, the host name must also be one of this machine's own, since
 * any site can point its name at this machine (DNS rebinding). Programs send no Origin and may connect.
 */
export function isOriginAllowed({ headers }: Pick<IncomingMessage, 'headers'>, rule: HostRule): boolean {
  const { origin, host } = headers;
  if (origin === undefined || rule.allowedOrigins?.includes(origin) === true) return true;
  if (!URL.canParse(origin) || new URL(origin).host !== host) return false;
  return rule.allowsAnyHost || isOwnHost(new URL(origin).hostname, rule.host);
}

/** Reason for refusing a browser, with both names and a remedy for the user of the coordinator. */
export function explainOriginRefusal(
  { headers }: Pick<IncomingMessage, 'headers'>,
  optionName: OptionName = flagName,
): string {
  const origin = sanitizeHeader(headers.origin);
  const host = sanitizeHeader(headers.host);
  if (URL.canParse(origin) && new URL(origin).host === host) {
    return `A browser was refused: ${host} is not a name of this machine. Use ${optionName('token')} or ${optionName('https')} to accept any name.`;
  }
  return (
    `A browser was refused: its page is from ${origin}, but its request is for ${host}. ` +
    'Configure your reverse proxy to forward the Host header (docs/reverse-proxy.md).'
  );
}

/** Text from outside that will be shown in a terminal. */
const sanitizeHeader = (header: string | undefined): string =>
  sanitizeForTerminal(header ?? 'an unknown host').slice(0, 100);

/**
 * Whether a request without a token may read figures of the run. Its host name must be one of this machine's own, since a
 * page of another site can point its name at this machine (DNS rebinding).
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

/** Whether a bearer token in the request's headers is the run's token, or the run has none. */
export function hasValidToken(
  { headers }: Pick<IncomingMessage, 'headers'>,
  token: string | undefined,
): boolean {
  // The scheme is not case-sensitive (RFC 9110, 11.1).
  const sent = /^Bearer +(.*)$/i.exec(headers.authorization ?? '')?.[1];
  return token === undefined || secretsMatch(sent ?? '', token);
}

/** Compares in constant time: the duration does not depend on how many characters are right. */
export function secretsMatch(sent: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(sent), digest(expected));
}
