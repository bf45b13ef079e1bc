import type { Clock } from '../shared/util/clock.ts';
import { CloseCode } from '../shared/protocol/close-codes.ts';
import type { Connect } from '../shared/protocol/transport.ts';

/** A coordinator pings every few seconds: this long without a frame, where there is doubt, means that it is gone. */
const LIVENESS_TIMEOUT_MS = 12_000;

/** Connections over the browser's WebSocket. */
export interface BrowserConnections {
  readonly connect: Connect;
  /** There is reason to think that open connections are dead (a new network, a sleep): those that stay silent end. */
  checkLiveness(): void;
}

export function createBrowserConnections(clock: Clock): BrowserConnections {
  const open = new Set<() => void>();
  return {
    checkLiveness: () => open.forEach((doubt) => doubt()),

    connect(url, events) {
      const socket = new WebSocket(url);
      socket.binaryType = 'arraybuffer';
      let opened = false;
      let over = false;
      let believe = (): void => undefined;
      const doubt = (): void => {
        believe();
        believe = clock.after(LIVENESS_TIMEOUT_MS, () => {
          // The goodbye would wait for an answer, for a minute or more.
          socket.close();
          end(1006, '');
        });
      };
      const end = (code: number, reason: string): void => {
        if (over) return;
        over = true;
        open.delete(doubt);
        believe();
        // Browsers keep to themselves why a connection failed.
        const silent = opened ? 'the connection was lost' : 'the coordinator does not answer';
        events.onClose(code, reason === '' ? silent : reason);
      };
      open.add(doubt);
      socket.onopen = () => {
        believe();
        opened = true;
        if (!over) events.onOpen();
      };
      socket.onmessage = ({ data }: MessageEvent<unknown>) => {
        believe();
        if (over) return;
        if (data instanceof ArrayBuffer) events.onFrame(new Uint8Array(data));
        else socket.close(CloseCode.malformed, 'Messages are binary frames; this one was text.');
      };
      socket.onclose = ({ code, reason }) => end(code, reason);
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
    },
  };
}
