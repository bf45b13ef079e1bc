import { TLSSocket } from 'node:tls';
import { WebSocket, type RawData } from 'ws';
import { CloseCode } from '../shared/protocol/close-codes.ts';
import { sanitizeForTerminal } from '../shared/util/sanitize.ts';
import type { Connect } from '../shared/protocol/transport.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;
const CLOSE_GRACE_MS = 1_000;
/** Limits the memory that a hostile coordinator can fill. */
const MAX_FRAME_BYTES = 1 << 30;

const SELF_SIGNED = new Set(['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN']);
/** Error codes of Node and OpenSSL for rejected certificates: CERT_HAS_EXPIRED, ERR_TLS_CERT_ALTNAME_INVALID and so on. */
const CERTIFICATE_ERROR = /CERT|ISSUER|LEAF_SIGNATURE/;
const FINGERPRINT_ADVICE = 'set --fingerprint to the one that the coordinator prints';

/** Connects to coordinators whose certificate this machine trusts. */
export const connectWebSocket: Connect = connectPinned(undefined);

/**
 * Connects over ws.
 * @param fingerprint SHA-256 of the only trusted certificate; undefined for those that this machine trusts
 */
export function connectPinned(fingerprint: string | undefined): Connect {
  return (url, events) => connect(url, events, fingerprint);
}

function connect(
  url: Parameters<Connect>[0],
  events: Parameters<Connect>[1],
  fingerprint: string | undefined,
): ReturnType<Connect> {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: MAX_FRAME_BYTES,
    // Masks protect proxies from scripts in browsers (RFC 6455, 10.3). This is no browser, and a mask of zeros saves both
    // sides two passes over every gradient.
    generateMask: () => undefined,
    rejectUnauthorized: fingerprint === undefined,
  });
  let failure = '';
  /** Whether the certificate was rejected: the next connection would get the same one. */
  let isUntrusted = false;
  // Emitted before 'open', when only the upgrade request has been sent.
  socket.on('upgrade', ({ socket: carrier }) => {
    if (fingerprint === undefined) return;
    const shown = carrier instanceof TLSSocket ? carrier.getPeerCertificate().fingerprint256 : 'none';
    if (shown === fingerprint) return;
    isUntrusted = true;
    failure = `the coordinator's certificate has the fingerprint ${shown}, not the one of --fingerprint`;
    socket.terminate();
  });
  socket.on('open', () => events.onOpen());
  socket.on('message', (data: RawData) => events.onFrame(data as Buffer));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (failure !== '') return;
    const code = error.code ?? '';
    isUntrusted = CERTIFICATE_ERROR.test(code);
    failure = SELF_SIGNED.has(code) ? `${error.message}: ${FINGERPRINT_ADVICE}` : error.message;
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
