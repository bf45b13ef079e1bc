import type { Connect, Connection, ConnectionEvents } from '../../shared/protocol/transport.ts';
import type { RandomStream } from '../../shared/random/stream.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';

/** Faults of a worker's link. */
export const LINK_FAULTS = ['freeze', 'delay', 'duplicate', 'truncate', 'corrupt', 'reconnect'] as const;
export type LinkFault = (typeof LINK_FAULTS)[number];
type Direction = 'up' | 'down';

/** One direction of a link. Delivers frames in order; delay() holds them back. */
class FrameQueue {
  readonly #queue: (() => void)[] = [];
  #delayedUntilMs = 0;
  #timer: NodeJS.Timeout | null = null;

  delay(ms: number): void {
    this.#delayedUntilMs = Math.max(this.#delayedUntilMs, performance.now() + ms);
  }

  pass(deliver: () => void): void {
    if (this.#timer === null && performance.now() >= this.#delayedUntilMs) {
      deliver();
      return;
    }
    this.#queue.push(deliver);
    this.#wait();
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (performance.now() < this.#delayedUntilMs) this.#wait();
      else for (const deliver of this.#queue.splice(0)) deliver();
    }, this.#delayedUntilMs - performance.now());
  }
}

/** A worker's link that behaves like a bad network. Frames of one real socket at a time pass through it. */
export class FaultyLink {
  readonly #random: RandomStream;
  #up = new FrameQueue();
  #down = new FrameQueue();
  #pendingFault: { readonly how: LinkFault; readonly direction: Direction } | null = null;
  #socket: Connection | null = null;
  #killed = false;

  constructor(random: RandomStream) {
    this.#random = random;
  }

  readonly connect: Connect = (url, events) => {
    const up = new FrameQueue();
    const down = new FrameQueue();
    this.#up = up;
    this.#down = down;
    const socket = connectWebSocket(url, this.#wrapEvents(events, down));
    this.#socket = socket;
    return {
      send: (frame) => {
        // The sender may overwrite the frame after send().
        const copy = frame.slice();
        up.pass(() => {
          for (const each of this.#applyFault(copy, 'up')) socket.send(each);
        });
      },
      close: (code, reason) => up.pass(() => socket.close(code, reason)),
      terminate: () => socket.terminate(),
      get bufferedBytes() {
        return socket.bufferedBytes;
      },
    };
  };

  inject(fault: LinkFault): void {
    switch (fault) {
      case 'freeze': {
        const ms = 20 + this.#random.below(150);
        this.#up.delay(ms);
        this.#down.delay(ms);
        return;
      }
      case 'delay':
        (this.#random.below(2) === 0 ? this.#up : this.#down).delay(1 + this.#random.below(30));
        return;
      case 'reconnect':
        this.#socket?.terminate();
        return;
      case 'duplicate':
      case 'truncate':
      case 'corrupt':
        this.#pendingFault = { how: fault, direction: this.#random.below(2) === 0 ? 'up' : 'down' };
    }
  }

  /** Cuts the link as if the worker's process was killed: no more frames pass. */
  kill(): void {
    this.#killed = true;
    this.#socket?.terminate();
  }

  #wrapEvents(events: ConnectionEvents, down: FrameQueue): ConnectionEvents {
    return {
      onOpen: () => events.onOpen(),
      onFrame: (frame) =>
        down.pass(() => {
          for (const each of this.#applyFault(frame, 'down')) if (!this.#killed) events.onFrame(each);
        }),
      onClose: (code, reason) => down.pass(() => events.onClose(code, reason)),
    };
  }

  #applyFault(frame: Uint8Array, direction: Direction): Uint8Array[] {
    if (this.#killed) return [];
    const fault = this.#pendingFault;
    if (fault?.direction !== direction) return [frame];
    this.#pendingFault = null;
    if (fault.how === 'duplicate') return [frame, new Uint8Array(frame)];
    if (fault.how === 'truncate') return [frame.subarray(0, this.#random.below(frame.length))];
    const damaged = new Uint8Array(frame);
    for (let flips = 1 + this.#random.below(4); flips > 0; flips--) {
      const at = this.#random.below(damaged.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << this.#random.below(8));
    }
    return [damaged];
  }
}
