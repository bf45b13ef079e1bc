import type { Clock } from '../shared/util/clock.ts';
import { CloseCode } from '../shared/protocol/close-codes.ts';
import type { Connect } from '../shared/protocol/transport.ts';

/** A checked connection without a frame for this long counts as dead: a coordinator pings every few seconds. */
const LIVENESS_TIMEOUT_MS = 12_000;

/** Connections over the browser's WebSocket. */
export interface BrowserConnections {
  readonly connect: Connect;
  /** Ends every open connection that stays silent from now on: for use after a change of network or a sleep. */
  checkLiveness(): void;
}

export function createBrowserConnections(clock: Clock): BrowserConnections {
  const livenessChecks = new Set<() => void>();
  return {
    checkLiveness: () => livenessChecks.forEach((check) => check()),

    connect(url, events) {
      const socket = new WebSocket(url);
      socket.binaryType = 'arraybuffer';
      let hasOpened = false;
      let hasEnded = false;
      let cancelCheck = (): void => undefined;
      const checkLiveness = (): void => {
        cancelCheck();
        cancelCheck = clock.after(LIVENESS_TIMEOUT_MS, () => {
          socket.close();
          // The close event would wait for the peer's answer, for a minute or more.
          end(1006, '');
        });
      };
      const end = (code: number, reason: string): void => {
        if (hasEnded) return;
        hasEnded = true;
        livenessChecks.delete(checkLiveness);
        cancelCheck();
        // Browsers do not tell scripts why a connection failed.
        const fallback = hasOpened ? 'the connection was lost' : 'the coordinator does not answer';
        events.onClose(code, reason === '' ? fallback : reason);
      };
      livenessChecks.add(checkLiveness);
      socket.onopen = () => {
        cancelCheck();
        hasOpened = true;
        if (!hasEnded) events.onOpen();
      };
      socket.onmessage = ({ data }: MessageEvent<unknown>) => {
        cancelCheck();
        if (hasEnded) return;
        if (data instanceof ArrayBuffer) events.onFrame(new Uint8Array(data));
        else socket.close(CloseCode.malformed, 'Messages are binary frames; this one was text.');
      };
      socket.onclose = ({ code, reason }) => end(code, reason);
      return {
        send(frame) {
          // A WebSocket sends no shared memory; frames never lie in it.
          if (socket.readyState === WebSocket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
        },
        close: (code, reason) => socket.close(code, reason),
        // Browsers cannot drop a connection at once; they stop waiting for the peer's close frame after a while.
        terminate: () => socket.close(),
        get bufferedBytes() {
          return socket.bufferedAmount;
        },
      };
    },
  };
}
