import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { WebSocket, type RawData } from 'ws';
import { CloseCode } from '../shared/protocol/close-codes.ts';
import { errorMessage } from '../shared/util/error-message.ts';
import { sanitizeForTerminal } from '../shared/util/sanitize.ts';
import type { Connect } from '../shared/protocol/transport.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Shorter, so that the reason for the failure names what did not answer. */
const LOOKUP_TIMEOUT_MS = 8_000;
/** Time for one of several addresses of a host. Node's 250 ms are too short for a connection around the world. */
const ADDRESS_TIMEOUT_MS = 1_500;
const CLOSE_GRACE_MS = 1_000;
/** Limits the memory that a hostile coordinator can fill. */
const MAX_FRAME_BYTES = 1 << 30;

const SELF_SIGNED = new Set(['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN']);
/** Error codes of Node and OpenSSL for rejected certificates: CERT_HAS_EXPIRED, ERR_TLS_CERT_ALTNAME_INVALID and so on. */
const CERTIFICATE_ERROR = /CERT|ISSUER|LEAF_SIGNATURE/;
const FINGERPRINT_ADVICE = 'set --fingerprint to the one that the coordinator prints';

/** Answers of web servers that serve other things at a path, or no WebSockets at all. */
const OTHER_SERVER = /^Unexpected server response: (200|404|405|426)$/;
const NO_COORDINATOR = 'a web server without a coordinator at this path';

/**
 * Advice for an address at which a web server answers and no coordinator; null for other reasons.
 * @param url address without the token
 * @param reason of a connection that could not be opened
 */
export function adviseOnPath(url: string, reason: string): string | null {
  const [, status] = /^it answers (\d+): /.exec(reason) ?? [];
  if (status === undefined || !reason.endsWith(NO_COORDINATOR)) return null;
  return (
    `${url} answers ${status}: a web server without a coordinator at this path. If the coordinator is below a path of a server, add ` +
    `the path, as in ${new URL('/train/', url).href}.`
  );
}

/** Connects to coordinators whose certificate this machine trusts. */
export const connectWebSocket: Connect = connectPinned(undefined);

/**
 * Connects over ws. A host name is resolved anew by each connection. Those of its addresses that refuse connections are skipped, and
 * each connection begins with the next one: there may be another program at the first.
 * @param fingerprints SHA-256 of the only trusted certificates: a link that names another one is refused. Undefined for that of
 *   the link, or those that this machine trusts
 * @param resolve finds the addresses of a host
 * @param lookupTimeoutMs time for it; the next connection asks again
 */
export function connectPinned(
  fingerprints: readonly string[] | undefined,
  resolve: Resolve = lookup,
  lookupTimeoutMs = LOOKUP_TIMEOUT_MS,
): Connect {
  let connections = 0;
  return (url, events, fingerprint) => {
    const trusted = fingerprint === undefined ? fingerprints : [fingerprint];
    if (fingerprint !== undefined && fingerprints?.includes(fingerprint) === false)
      return refuse(
        events,
        `the link names the certificate ${fingerprint}, which --fingerprint does not list`,
      );
    if (trusted !== undefined && !/^wss:/i.test(url))
      return refuse(events, 'a fingerprint needs https://, since http:// has no certificate');
    return connect(url, events, trusted, lookupFrom(connections++, withTimeout(resolve, lookupTimeoutMs)));
  };
}

/** A connection that is not opened, since its coordinator cannot be trusted. */
function refuse(events: Parameters<Connect>[1], reason: string): ReturnType<Connect> {
  queueMicrotask(() => events.onClose(CloseCode.untrustedCertificate, reason));
  const ignored = (): void => undefined;
  return { send: ignored, close: ignored, terminate: ignored, bufferedBytes: 0 };
}

/** The part of dns.lookup that is used. */
export type Resolve = (
  host: string,
  options: { readonly all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: { address: string; family: number }[]) => void,
) => void;

/** The system's lookup cannot be cancelled. Where a name service restarts, one takes half a minute that the next one need not take. */
function withTimeout(resolve: Resolve, timeoutMs: number): Resolve {
  return (host, options, callback) => {
    let isOver = false;
    const end: typeof callback = (error, addresses) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      callback(error, addresses);
    };
    const timer = setTimeout(() => {
      end(new Error(`no name server has answered for ${host} within ${timeoutMs / 1_000} s`), []);
    }, timeoutMs);
    timer.unref();
    resolve(host, options, end);
  };
}

/** Finds the addresses of a host in an order that begins with another one for each `first`. */
function lookupFrom(first: number, resolve: Resolve): LookupFunction {
  return (host, options, callback) =>
    resolve(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const at = first % Math.max(1, addresses.length);
      const ordered = [...addresses.slice(at), ...addresses.slice(0, at)];
      if (options.all === true) callback(null, ordered);
      else callback(null, ordered[0]?.address ?? '', ordered[0]?.family);
    });
}

function connect(
  url: Parameters<Connect>[0],
  events: Parameters<Connect>[1],
  fingerprints: readonly string[] | undefined,
  lookup: LookupFunction,
): ReturnType<Connect> {
  const options = {
    lookup,
    autoSelectFamilyAttemptTimeout: ADDRESS_TIMEOUT_MS,
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: MAX_FRAME_BYTES,
    // Masks protect proxies from scripts in browsers (RFC 6455, 10.3). This is no browser, and a mask of zeros saves both
    // sides two passes over every gradient.
    generateMask: () => undefined,
    rejectUnauthorized: fingerprints === undefined,
  };
  const socket = new WebSocket(url, options);
  let failure = '';
  /** Whether the certificate was rejected: the next connection would get the same one. */
  let isUntrusted = false;
  // Emitted before 'open', when only the upgrade request has been sent.
  socket.on('upgrade', ({ socket: carrier }) => {
    if (fingerprints === undefined) return;
    const shown = (carrier as TLSSocket).getPeerCertificate().fingerprint256;
    if (fingerprints.includes(shown)) return;
    isUntrusted = true;
    failure = `the coordinator's certificate has the fingerprint ${shown}, not the one of --fingerprint or of the link`;
    socket.terminate();
  });
  socket.on('open', () => events.onOpen());
  socket.on('message', (data: RawData) => events.onFrame(data as Buffer));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (failure !== '') return;
    const code = error.code ?? '';
    isUntrusted = CERTIFICATE_ERROR.test(code);
    // Of a host with several addresses, each of which has refused the connection.
    const message =
      error instanceof AggregateError ? error.errors.map(errorMessage).join(', ') : error.message;
    const [, status] = OTHER_SERVER.exec(message) ?? [];
    if (status !== undefined) failure = `it answers ${status}: ${NO_COORDINATOR}`;
    else failure = SELF_SIGNED.has(code) ? `${message}: ${FINGERPRINT_ADVICE}` : message;
  });
  socket.on('close', (code, reason) => {
    // The reason is printed in a terminal.
    const text = sanitizeForTerminal(reason.toString());
    events.onClose(isUntrusted ? CloseCode.untrustedCertificate : code, text === '' ? failure : text);
  });
  return {
    send(frame) {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    },
    close(code, reason) {
      // A connection that is not open cannot send a close frame.
      if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
      else socket.close(code, reason);
      setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref();
    },
    terminate: () => socket.terminate(),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
  };
}
