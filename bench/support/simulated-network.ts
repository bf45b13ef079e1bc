import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { Connect, Connection } from '../../shared/protocol/transport.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { MinHeap } from '../../coordinator/scheduling/partition.ts';
import type { ConnectionHandler } from '../../coordinator/server/websocket.ts';
import type { Run } from '../../coordinator/hosting/run.ts';

/** A machine of a simulation, with one network card. */
export interface SimulatedNode {
  readonly name: string;
  readonly bitsPerSecond: number;
  /** Times at which the card has sent and received all that is on the way. */
  sentMs: number;
  receivedMs: number;
  /** CPU time of this process for the node's events, in milliseconds. */
  cpuMs: number;
  messagesIn: number;
  bytesIn: number;
  messagesOut: number;
  bytesOut: number;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly node: SimulatedNode;
  readonly callback: () => void;
  isCancelled: boolean;
}

const CUT = 1006;

/**
 * Machines and links on a virtual clock, in one process. The programs of the machines are real; a message takes the time that the
 * cards of both ends need for its bytes, and the delay of the link. Computing takes no time, unless a program waits for the clock.
 */
export class SimulatedNetwork implements Clock {
  readonly #delayMs: number;
  readonly #events = new MinHeap<Event>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order),
  );
  #nowMs = 0;
  #order = 0;
  #current: SimulatedNode;

  /** @param delayMs time of a link in one direction, beside that for the bytes */
  constructor(delayMs: number) {
    this.#delayMs = delayMs;
    this.#current = createNode('bench', Infinity);
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const event = this.#schedule(this.#nowMs + Math.max(0, delayMs), this.#current, callback);
    return () => {
      event.isCancelled = true;
    };
  }

  /** Runs a part of a node's program, whose timers are then the node's. */
  as<Result>(node: SimulatedNode, run: () => Result): Result {
    const before = this.#current;
    this.#current = node;
    try {
      return run();
    } finally {
      this.#current = before;
    }
  }

  /** Lets time pass until a promise has settled. */
  async until<Result>(promise: Promise<Result>): Promise<Result> {
    const done = { isSettled: false };
    const settle = (): void => {
      done.isSettled = true;
    };
    promise.then(settle, settle);
    await drained();
    while (!done.isSettled) {
      const event = this.#events.pop();
      if (event === undefined) throw new Error('Nothing happens any more in the simulation.');
      if (event.isCancelled) continue;
      this.#nowMs = event.atMs;
      this.#current = event.node;
      const before = process.cpuUsage();
      event.callback();
      await drained();
      const { user, system } = process.cpuUsage(before);
      event.node.cpuMs += (user + system) / 1000;
    }
    return promise;
  }

  /** Connects a client of one node with the run that another node serves at that time. */
  connectTo(server: SimulatedNode, client: SimulatedNode, runOf: () => Run | null): Connect {
    return (_url, events) => {
      let hasClosed = false;
      let handler: ConnectionHandler | null = null;
      const close = (code: number, reason: string): void => {
        if (hasClosed) return;
        hasClosed = true;
        this.#schedule(this.#nowMs + this.#delayMs, server, () => handler?.onClose(code, reason));
        this.#schedule(this.#nowMs + this.#delayMs, client, () => events.onClose(code, reason));
      };
      const end = (
        from: SimulatedNode,
        to: SimulatedNode,
        receive: (frame: Uint8Array) => void,
      ): Connection => ({
        isSameMachine: false,
        addressBlock: client.name,
        // Frames are copied, so that their memory may be used again at once.
        bufferedBytes: 0,
        send: (frame) => {
          if (hasClosed) return;
          const copy = frame.slice();
          this.#send(from, to, frame.length, () => {
            if (!hasClosed) receive(copy);
          });
        },
        close,
        terminate: () => close(CUT, ''),
      });
      const clientEnd = end(client, server, (frame) => handler?.onFrame(frame));
      this.#schedule(this.#nowMs + this.#delayMs, server, () => {
        const run = runOf();
        if (run === null) {
          close(CloseCode.noRun, 'No run has begun yet.');
          return;
        }
        const first = run.connect(
          end(server, client, (frame) => events.onFrame(frame)),
          (accepted) => (handler = accepted),
        );
        handler ??= first;
        this.#schedule(this.#nowMs + this.#delayMs, client, () => events.onOpen());
      });
      return clientEnd;
    };
  }

  #send(from: SimulatedNode, to: SimulatedNode, bytes: number, callback: () => void): void {
    const startMs = Math.max(this.#nowMs, from.sentMs);
    from.sentMs = startMs + transferMs(bytes, from);
    const arrivesMs = Math.max(startMs + this.#delayMs, to.receivedMs);
    to.receivedMs = Math.max(arrivesMs + transferMs(bytes, to), from.sentMs + this.#delayMs);
    from.messagesOut++;
    from.bytesOut += bytes;
    to.messagesIn++;
    to.bytesIn += bytes;
    this.#schedule(to.receivedMs, to, callback);
  }

  #schedule(atMs: number, node: SimulatedNode, callback: () => void): Event {
    const event = { atMs, order: this.#order++, node, callback, isCancelled: false };
    this.#events.push(event);
    return event;
  }
}

export const createNode = (name: string, bitsPerSecond: number): SimulatedNode => ({
  name,
  bitsPerSecond,
  sentMs: 0,
  receivedMs: 0,
  cpuMs: 0,
  messagesIn: 0,
  bytesIn: 0,
  messagesOut: 0,
  bytesOut: 0,
});

const transferMs = (bytes: number, { bitsPerSecond }: SimulatedNode): number =>
  (8_000 * bytes) / bitsPerSecond;

/** Waits until no promise has a reaction left to run. */
const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
