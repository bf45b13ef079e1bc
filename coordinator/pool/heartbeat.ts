import type { Clock } from '../../shared/util/clock.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { Worker } from './worker.ts';

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Time without a message after which a worker is dropped. */
  readonly silenceTimeoutMs: () => number;
  readonly allWorkers: () => readonly Worker[];
  /** Whether a worker is still building the model. */
  readonly isPreparing: (worker: Worker) => boolean;
  /** Whether too many bytes wait to be sent to a worker. */
  readonly isBackpressured: (worker: Worker) => boolean;
  readonly ping: (worker: Worker, id: number) => void;
  readonly drop: (worker: Worker, code: CloseCode, reason: string) => void;
}

/** Time that a worker may take for its first shard. */
const WARM_UP_TIMEOUT_MS = 180_000;
/** A model is built in seconds, on a slow phone in tens of seconds. */
const READY_TIMEOUT_MS = 60_000;

/** Pings all workers at intervals. Drops silent workers and workers that do not read their messages. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** Number of pings so far, those of link probes included. */
  #pingCount = 0;
  #lastPing: { readonly id: number; readonly sentMs: number } | null = null;
  #cancel: () => void;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#cancel = options.clock.after(options.intervalMs, () => this.#pingAll());
  }

  /** Unique id for the next ping. */
  nextPingId(): number {
    return this.#pingCount++;
  }

  /** @returns round-trip time of the last ping to all workers in ms; null if the pong answers another ping */
  roundTripMs(id: number): number | null {
    return this.#lastPing?.id === id ? this.#options.clock.now() - this.#lastPing.sentMs : null;
  }

  stop(): void {
    this.#cancel();
  }

  #pingAll(): void {
    const { clock, intervalMs, allWorkers, isPreparing, ping, drop } = this.#options;
    const nowMs = clock.now();
    const silenceTimeoutMs = this.#options.silenceTimeoutMs();
    const id = this.nextPingId();
    this.#lastPing = { id, sentMs: nowMs };
    for (const worker of allWorkers()) {
      const silentMs = nowMs - worker.health.lastMessageMs;
      // The warm-up of an engine on its first shard may block the worker's only thread.
      const isWarmingUp = worker.health.acceptedAnswers === 0 && worker.outstanding.size > 0;
      if (silentMs > (isWarmingUp ? Math.max(silenceTimeoutMs, WARM_UP_TIMEOUT_MS) : silenceTimeoutMs)) {
        drop(worker, CloseCode.timeout, `No message for ${Math.round(silentMs / 1000)} s.`);
      } else if (isPreparing(worker) && nowMs - worker.joinedAtMs > READY_TIMEOUT_MS) {
        drop(worker, CloseCode.timeout, `Not ready within ${READY_TIMEOUT_MS / 1000} s.`);
      } else if (this.#backpressuredMs(worker, nowMs) > silenceTimeoutMs) {
        drop(worker, CloseCode.timeout, 'The worker does not read its messages.');
      } else {
        ping(worker, id);
      }
    }
    this.#cancel = clock.after(intervalMs, () => this.#pingAll());
  }

  /** Time for which too many bytes have been waiting to be sent. */
  #backpressuredMs(worker: Worker, nowMs: number): number {
    worker.health.backpressuredSinceMs = this.#options.isBackpressured(worker)
      ? (worker.health.backpressuredSinceMs ?? nowMs)
      : null;
    return worker.health.backpressuredSinceMs === null ? 0 : nowMs - worker.health.backpressuredSinceMs;
  }
}
