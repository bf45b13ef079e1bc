import { TLSSocket } from 'node:tls';
import { WebSocket, type RawData } from 'ws';
import { CloseCode } from '../shared/protocol/close-codes.ts';
import { sanitizeForTerminal } from '../shared/util/sanitize.ts';
import type { Connect } from '../shared/protocol/transport.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;
const CLOSE_GRACE_MS = 1_000;
/** A coordinator's frames are its own business; this only keeps a stranger's from filling the memory. */
const MAX_FRAME_BYTES = 1 << 30;

const SELF_SIGNED = new Set(['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN']);
/** Codes of Node and OpenSSL for certificates that do not pass: CERT_HAS_EXPIRED, ERR_TLS_CERT_ALTNAME_INVALID and so on. */
const CERTIFICATE_ERROR = /CERT|ISSUER|LEAF_SIGNATURE/;
const FINGERPRINT_ADVICE = 'give the --fingerprint that the coordinator prints';

/** Connections over ws, to whoever has a certificate that this machine trusts. */
export const connectWebSocket: Connect = connectPinned(undefined);

/**
 * Connections over ws.
 * @param fingerprint SHA-256 of the one certificate that is trusted, whoever signed it
 */
export function connectPinned(fingerprint: string | undefined): Connect {
  return (url, events) => connect(url, events, fingerprint);
}

function connect(
  ...[url, events, fingerprint]: [...Parameters<Connect>, string | undefined]
): ReturnType<Connect> {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: MAX_FRAME_BYTES,
    // Masks protect proxies from what scripts in browsers send (RFC 6455, 10.3). This is no browser, and a mask of zeros
    // saves both sides two passes over every gradient.
    generateMask: () => undefined,
    rejectUnauthorized: fingerprint === undefined,
  });
  let failure = '';
  /** Trying again would show the same certificate. */
  let isUntrusted = false;
  // Comes before 'open': nothing but the request to upgrade has been said.
  socket.on('upgrade', ({ socket: carrier }) => {
    if (fingerprint === undefined) return;
    const shown = carrier instanceof TLSSocket ? carrier.getPeerCertificate().fingerprint256 : 'none';
    if (shown === fingerprint) return;
    isUntrusted = true;
    failure = `the certificate there has the fingerprint ${shown}, not the one that was given`;
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
    // A stranger's words, which end up in a terminal.
    const said = sanitizeForTerminal(reason.toString());
    events.onClose(isUntrusted ? CloseCode.untrustedCertificate : code, said === '' ? failure : said);
  });
  return {
    send(frame) {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    },
    close(code, reason) {
      // Before it is open there is nobody to say goodbye to.
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
