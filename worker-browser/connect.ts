import { CloseCode } from '../shared/protocol/close-code.ts';
import type { Connect } from '../shared/transport.ts';

/** A connection over the browser's WebSocket. */
export const connectWebSocket: Connect = (url, events) => {
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  let opened = false;
  socket.onopen = () => {
    opened = true;
    events.onOpen();
  };
  socket.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data instanceof ArrayBuffer) events.onFrame(new Uint8Array(data));
    else socket.close(CloseCode.malformed, 'Messages are binary frames; this one was text.');
  };
  socket.onclose = ({ code, reason }) => {
    // Browsers keep to themselves why a connection failed.
    const silent = opened ? 'the connection was lost' : 'the coordinator does not answer';
    events.onClose(code, reason === '' ? silent : reason);
  };
  return {
    send(frame) {
      // Frames are made here and never in shared memory, which a WebSocket does not take.
      if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
    },
    close: (code, reason) => socket.close(code, reason),
    // A browser cannot drop a connection; it gives up on the goodbye by itself after a while.
    terminate: () => socket.close(),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
  };
};
