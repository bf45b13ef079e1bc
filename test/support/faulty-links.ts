import type { Connect, Connection, ConnectionEvents } from '../../shared/protocol/transport.ts';
import type { RandomStream } from '../../shared/random/stream.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';

/** What can happen to a worker's link. */
export const LINK_FAULTS = ['freeze', 'delay', 'duplicate', 'truncate', 'corrupt', 'reconnect'] as const;
export type LinkFault = (typeof LINK_FAULTS)[number];
type Direction = 'up' | 'down';

/** A way for frames, in order; may be held up. */
class FrameQueue {
  readonly #queue: (() => void)[] = [];
  #heldUntilMs = 0;
  #timer: NodeJS.Timeout | null = null;

  hold(ms: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, performance.now() + ms);
  }

  pass(deliver: () => void): void {
    if (this.#timer === null && performance.now() >= this.#heldUntilMs) {
      deliver();
      return;
    }
    this.#queue.push(deliver);
    this.#wait();
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (performance.now() < this.#heldUntilMs) this.#wait();
      else for (const deliver of this.#queue.splice(0)) deliver();
    }, this.#heldUntilMs - performance.now());
  }
}

/** A worker's link that does what a bad network does: one real socket at a time, whose frames pass through here. */
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
    [this.#up, this.#down] = [new FrameQueue(), new FrameQueue()];
    const [up, down] = [this.#up, this.#down];
    const socket = connectWebSocket(url, this.#wrapEvents(events, down));
    this.#socket = socket;
    return {
      send: (frame) => {
        // Whoever sent it may write it over.
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
        this.#up.hold(ms);
        this.#down.hold(ms);
        return;
      }
      case 'delay':
        (this.#random.below(2) === 0 ? this.#up : this.#down).hold(1 + this.#random.below(30));
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

  /** As if its process had been killed: nothing more goes out or comes in. */
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
    const mangle = this.#pendingFault;
    if (mangle?.direction !== direction) return [frame];
    this.#pendingFault = null;
    if (mangle.how === 'duplicate') return [frame, new Uint8Array(frame)];
    if (mangle.how === 'truncate') return [frame.subarray(0, this.#random.below(frame.length))];
    const damaged = new Uint8Array(frame);
    for (let flips = 1 + this.#random.below(4); flips > 0; flips--) {
      const at = this.#random.below(damaged.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << this.#random.below(8));
    }
    return [damaged];
  }
}
