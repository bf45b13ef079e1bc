import type { Connection, ConnectionEvents } from '../../shared/protocol/transport.ts';

/** One end of a pair of connections in memory. */
export interface LinkedEnd extends Connection {
  /** Everything that this end was given to send while it was open. */
  readonly sent: readonly Uint8Array[];
  /** How this end was closed, by whomever; null while it is open. */
  readonly closed: { readonly code: number; readonly reason: string } | null;
}

type Handlers = Pick<ConnectionEvents, 'onFrame' | 'onClose'>;

/**
 * Two ends of one connection, without a network. Frames arrive whole, in order and later, never within send(), and as
 * copies at an odd address, as a socket's library may hand them over. A close reaches both ends; a terminated end and
 * its peer hear 1006.
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
