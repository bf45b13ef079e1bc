import type { Connect } from '../../shared/protocol/transport.ts';
import { scheduleAt } from './precise-timer.ts';

interface Shape {
  readonly delayMs: number;
  /** Null where something else sees to the rate. */
  readonly bitsPerSecond: number | null;
}

/** One direction of a link: what goes in comes out in the same order, later. */
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
 * Connections whose frames take longer, in both directions: each waits until the one before it is through a link of this
 * rate, passes at the same rate, and is a delay later at the other end.
 */
export function shapedConnect(connect: Connect, shape: Shape): Connect {
  return (url, events) => {
    const [up, down] = [new Line(shape), new Line(shape)];
    let waitingBytes = 0;
    const connection = connect(url, {
      onOpen: () => events.onOpen(),
      onFrame: (frame) => down.pass(frame.length, () => events.onFrame(frame)),
      onClose: (...why) => down.pass(0, () => events.onClose(...why)),
    });
    return {
      send(frame) {
        waitingBytes += frame.length;
        up.pass(frame.length, () => {
          waitingBytes -= frame.length;
          connection.send(frame);
        });
      },
      close: (...why) => up.pass(0, () => connection.close(...why)),
      terminate: () => connection.terminate(),
      get bufferedBytes() {
        return connection.bufferedBytes + waitingBytes;
      },
    };
  };
}
