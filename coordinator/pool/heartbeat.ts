import type { Clock } from '../../shared/util/clock.ts';
import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { Worker } from './worker.ts';

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** A worker that has said nothing for this long is gone, unless the work allows for more. */
  readonly silenceTimeoutMs: number;
  /** More than that waiting to be sent to a worker is too much. */
  readonly maxBufferedBytes: number;
  readonly allWorkers: () => readonly Worker[];
  /** Whether a worker is still building the model. */
  readonly isPreparing: (worker: Worker) => boolean;
  readonly ping: (worker: Worker, id: number) => void;
  readonly drop: (worker: Worker, code: CloseCode, reason: string) => void;
}

/** As long as the first shard of a run may be kept. */
const WARM_UP_TIMEOUT_MS = 180_000;
/** A place is for computing: a model is built in seconds, on a slow phone in some tens. */
const READY_TIMEOUT_MS = 60_000;

/** Pings everybody now and then, and has those dropped who have gone silent or do not read what they are sent. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #silenceTimeoutMs: number;
  /** Sent so far, by whomever; each has its number. */
  #pingCount = 0;
  #lastPing: { readonly id: number; readonly sentMs: number } | null = null;
  #cancel: () => void;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#silenceTimeoutMs = options.silenceTimeoutMs;
    this.#cancel = options.clock.after(options.intervalMs, () => this.#pingAll());
  }

  /** The number of a ping; no two have the same. */
  nextPingId(): number {
    return this.#pingCount++;
  }

  /** @returns the round-trip time of the last beat in ms; null if the pong is to another ping */
  roundTripMs(id: number): number | null {
    return this.#lastPing?.id === id ? this.#options.clock.now() - this.#lastPing.sentMs : null;
  }

  /** Workers that take long are given longer before their silence counts. */
  extendSilenceTimeout(ms: number): void {
    this.#silenceTimeoutMs = Math.max(this.#options.silenceTimeoutMs, ms);
  }

  /** Whether what a worker was sent piles up, since it does not read it or the link is too slow. */
  isBackpressured({ connection }: Worker): boolean {
    return connection.bufferedBytes > this.#options.maxBufferedBytes;
  }

  stop(): void {
    this.#cancel();
  }

  #pingAll(): void {
    const { clock, intervalMs, allWorkers, isPreparing, ping, drop } = this.#options;
    const nowMs = clock.now();
    const id = this.nextPingId();
    this.#lastPing = { id, sentMs: nowMs };
    for (const worker of allWorkers()) {
      const silentMs = nowMs - worker.health.lastMessageMs;
      // An engine that warms up on its first shard may block its own thread for long.
      const warmingUp = worker.health.acceptedAnswers === 0 && worker.outstanding.size > 0;
      if (
        silentMs > (warmingUp ? Math.max(this.#silenceTimeoutMs, WARM_UP_TIMEOUT_MS) : this.#silenceTimeoutMs)
      ) {
        drop(worker, CloseCode.timeout, `Nothing heard for ${Math.round(silentMs / 1000)} s.`);
      } else if (isPreparing(worker) && nowMs - worker.joinedAtMs > READY_TIMEOUT_MS) {
        drop(worker, CloseCode.timeout, `Not ready within ${READY_TIMEOUT_MS / 1000} s.`);
      } else if (this.#backpressuredMs(worker, nowMs) > this.#silenceTimeoutMs) {
        drop(worker, CloseCode.timeout, 'It does not read what it is sent.');
      } else {
        ping(worker, id);
      }
    }
    this.#cancel = clock.after(intervalMs, () => this.#pingAll());
  }

  /** For how long too much has been waiting to be sent. */
  #backpressuredMs(worker: Worker, nowMs: number): number {
    worker.health.backpressuredSinceMs = this.isBackpressured(worker)
      ? (worker.health.backpressuredSinceMs ?? nowMs)
      : null;
    return worker.health.backpressuredSinceMs === null ? 0 : nowMs - worker.health.backpressuredSinceMs;
  }
}
