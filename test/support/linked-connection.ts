import type { Connection, ConnectionEvents } from '../../shared/protocol/transport.ts';

/** One end of a pair of connections in memory. */
export interface LinkedEnd extends Connection {
  /** Frames that were sent from this end while it was open. */
  readonly sent: readonly Uint8Array[];
  /** Close code and reason; null while the connection is open. */
  readonly closed: { readonly code: number; readonly reason: string } | null;
}

type Handlers = Pick<ConnectionEvents, 'onFrame' | 'onClose'>;

/**
 * Creates two ends of one connection in memory. Frames arrive whole and in order, after send() has returned, as copies at an
 * odd address: a WebSocket library may deliver such frames. close() reaches both ends; terminate() closes both with 1006.
 */
export function linkedPair(handlersOf: (side: 'left' | 'right') => Handlers): {
  readonly left: LinkedEnd;
  readonly right: LinkedEnd;
} {
  let closed: LinkedEnd['closed'] = null;
  const later = (task: () => void): void => queueMicrotask(task);
  const close = (code: number, reason: string): void => {
    if (closed !== null) return;
    closed = { code, reason };
    later(() => handlersOf('left').onClose(code, reason));
    later(() => handlersOf('right').onClose(code, reason));
  };
  const end = (peer: 'left' | 'right'): LinkedEnd => {
    const sent: Uint8Array[] = [];
    return {
      sent,
      bufferedBytes: 0,
      send(frame) {
        if (closed !== null) return;
        sent.push(frame.slice());
        const copy = Buffer.from(new ArrayBuffer(frame.length + 1), 1);
        copy.set(frame);
        later(() => handlersOf(peer).onFrame(copy));
      },
      close,
      terminate: () => close(1006, ''),
      get closed() {
        return closed;
      },
    };
  };
  return { left: end('right'), right: end('left') };
}
