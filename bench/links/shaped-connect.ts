import type { Connect } from '../../shared/protocol/transport.ts';
import { scheduleAt } from './precise-timer.ts';

interface Shape {
  readonly delayMs: number;
  /** Null if the link itself has a rate. */
  readonly bitsPerSecond: number | null;
}

/** One direction of a link. Delivers in order, with a delay. */
class Line {
  readonly #shape: Shape;
  readonly #queue: { readonly atMs: number; readonly deliver: () => void }[] = [];
  #freeMs = 0;
  #running = false;

  constructor(shape: Shape) {
    this.#shape = shape;
  }

  pass(bytes: number, deliver: () => void): void {
    const { bitsPerSecond, delayMs } = this.#shape;
    const passMs = bitsPerSecond === null ? 0 : (8_000 * bytes) / bitsPerSecond;
    this.#freeMs = Math.max(performance.now(), this.#freeMs) + passMs;
    this.#queue.push({ atMs: this.#freeMs + delayMs, deliver });
    if (!this.#running) this.#next();
  }

  #next(): void {
    const [first] = this.#queue;
    this.#running = first !== undefined;
    if (first === undefined) return;
    scheduleAt(first.atMs, () => {
      this.#queue.shift();
      first.deliver();
      this.#next();
    });
  }
}

/**
 * Wraps `connect` so that frames pass a link with a rate and a delay in both directions. A frame starts when the one before
 * it has left, takes bytes / rate, and arrives after the delay.
 */
export function shapedConnect(connect: Connect, shape: Shape): Connect {
  return (url, events) => {
    const up = new Line(shape);
    const down = new Line(shape);
    let pendingBytes = 0;
    const connection = connect(url, {
      onOpen: () => events.onOpen(),
      onFrame: (frame) => down.pass(frame.length, () => events.onFrame(frame)),
      onClose: (...reason) => down.pass(0, () => events.onClose(...reason)),
    });
    return {
      send(frame) {
        pendingBytes += frame.length;
        up.pass(frame.length, () => {
          pendingBytes -= frame.length;
          connection.send(frame);
        });
      },
      close: (...reason) => up.pass(0, () => connection.close(...reason)),
      terminate: () => connection.terminate(),
      get bufferedBytes() {
        return connection.bufferedBytes + pendingBytes;
      },
    };
  };
}
