import { WebSocket, type RawData } from 'ws';
import type { Connect } from '../shared/transport.ts';

const HANDSHAKE_WITHIN_MS = 10_000;
const CLOSE_GRACE_MS = 1_000;
/** A coordinator's frames are its own business; this only keeps a stranger's from filling the memory. */
const MAX_FRAME_BYTES = 1 << 30;

/** A connection over ws. */
export const connectWebSocket: Connect = (url, events) => {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_WITHIN_MS,
    maxPayload: MAX_FRAME_BYTES,
    // Masks protect proxies from what scripts in browsers send (RFC 6455, 10.3). This is no browser, and a mask of zeros
    // saves both sides two passes over every gradient.
    generateMask: () => undefined,
  });
  let failure = '';
  socket.on('open', () => events.onOpen());
  socket.on('message', (data: RawData) => events.onFrame(data as Buffer));
  socket.on('error', (error) => (failure = error.message));
  socket.on('close', (code, reason) => {
    const said = reason.toString();
    events.onClose(code, said === '' ? failure : said);
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
};
