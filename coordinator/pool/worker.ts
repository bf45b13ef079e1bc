import { nanoid } from 'nanoid';
import type { KeptSamples } from '../../shared/data/kept-samples.ts';
import type { EngineInfo, Hello, ShardId, Task, WorkerId } from '../../shared/protocol/messages.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { createWorkerLink, type WorkerLinkOptions, type WorkerLink } from '../links/worker-link.ts';
import { instanceKey, visibleName } from './worker-identity.ts';

/** A connection whose sent frames are counted and timed. */
export interface MeasuredConnection extends Connection {
  /** @param more whether more buckets of the same vector follow as soon as they are computed. @default false */
  send(frame: Uint8Array, more?: boolean): void;
}

/**
 * A worker that has joined: identity and connection. Measurements and codecs of its connection are in `link`; rounds and the
 * weights publisher keep their own state about workers.
 */
export interface Worker {
  readonly id: WorkerId;
  readonly name: string;
  /** Name of its machine, if it gave one. */
  readonly machine: string | undefined;
  readonly engine: EngineInfo;
  readonly connection: MeasuredConnection;
  readonly link: WorkerLink;
  /** Shards without an answer so far, of this round and earlier ones. */
  readonly outstanding: OutstandingShards;
  readonly stats: WorkerStats;
  /** Liveness and record, kept by the pool. */
  readonly health: WorkerHealth;
  /** Whether samples may be sent ahead of their shard. */
  readonly supportsPrefetch: boolean;
  /** Whether the worker understands standby messages. */
  readonly supportsStandby: boolean;
  /** Digest that identifies the process across connections (see instanceKey); null if the worker sent none. */
  readonly instance: string | null;
  /** Network of the worker; empty if unknown. */
  readonly networkBlock: string;
  readonly joinedAtMs: number;
  /** Samples that the worker keeps; null if it keeps none. */
  keptSamples: KeptSamples | null;
  /** Whether the worker is on standby, since steps are faster without it. */
  isStandby: boolean;
}

export interface WorkerHealth {
  lastMessageMs: number;
  /** Time since when too many bytes wait to be sent; null if they do not. */
  backpressuredSinceMs: number | null;
  acceptedAnswers: number;
  /** Number of rejected answers. Accepted answers reduce it over time. */
  strikes: number;
}

export interface CreateWorkerOptions extends WorkerLinkOptions {
  readonly name: string;
  readonly nowMs: number;
  /** Called with the size of each frame that was sent, and whether more of its vector follows. */
  readonly onSent: (bytes: number, more: boolean) => void;
}

/** Creates the state of a worker that has just joined. */
export function createWorker(hello: Hello, connection: Connection, options: CreateWorkerOptions): Worker {
  const { name, nowMs, onSent } = options;
  const stats = new WorkerStats();
  return {
    id: nanoid<WorkerId>(10),
    name,
    machine: visibleName(hello.machine ?? '') || undefined,
    engine: hello.engine,
    connection: countBytes(connection, stats, onSent),
    link: createWorkerLink(options),
    outstanding: new OutstandingShards(),
    stats,
    health: { lastMessageMs: nowMs, backpressuredSinceMs: null, acceptedAnswers: 0, strikes: 0 },
    supportsPrefetch: hello.prefetch ?? false,
    supportsStandby: hello.standby ?? false,
    instance: instanceKey(hello.instance),
    networkBlock: connection.addressBlock ?? '',
    joinedAtMs: nowMs,
    keptSamples: null,
    isStandby: false,
  };
}

function countBytes(
  connection: Connection,
  stats: WorkerStats,
  onSent: (bytes: number, more: boolean) => void,
): MeasuredConnection {
  return {
    send(frame, more = false) {
      stats.bytesDown += frame.length;
      connection.send(frame);
      onSent(frame.length, more);
    },
    close: (code, reason) => connection.close(code, reason),
    terminate: () => connection.terminate(),
    get receiveTiming() {
      return connection.receiveTiming;
    },
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
  };
}

/** Totals of a worker's traffic and accepted answers. */
export class WorkerStats {
  /** Samples of accepted answers, of training and evaluation. */
  samples = 0;
  /** Samples of accepted training answers. */
  trainSamples = 0;
  /** Round-trip time of the last ping; null before the first. */
  rttMs: number | null = null;
  bytesUp = 0;
  bytesDown = 0;

  /** Counts an accepted answer. */
  record(task: Task, samples: number): void {
    this.samples += samples;
    if (task === 'train') this.trainSamples += samples;
  }
}

/** Workers drop shards of earlier steps without an answer, so only this many of the newest are kept. */
const MAX_OUTSTANDING = 64;

/** Shards that a worker has not answered, each with the codec for the answer. */
export class OutstandingShards {
  readonly #encodings = new Map<ShardId, string | null>();
  /** Shards of which the worker has to have samples. */
  readonly #partial = new Set<ShardId>();

  get size(): number {
    return this.#encodings.size;
  }

  /** @param encoding codec for the answer; null for the codec of the welcome */
  add(shard: ShardId, encoding: string | null): void {
    this.#encodings.set(shard, encoding);
    const [oldest] = this.#encodings.keys();
    if (this.#encodings.size > MAX_OUTSTANDING && oldest !== undefined) this.delete(oldest);
  }

  /** Records whether a shard was sent without samples that the worker keeps. */
  setPartial(shard: ShardId, isPartial: boolean): void {
    if (isPartial) this.#partial.add(shard);
    else this.#partial.delete(shard);
  }

  /** Whether a shard was sent without samples that the worker keeps. */
  isPartial(shard: ShardId): boolean {
    return this.#partial.has(shard);
  }

  has(shard: ShardId): boolean {
    return this.#encodings.has(shard);
  }

  /** Codec for the answer to a shard; null for the codec of the welcome, and for a shard that is not outstanding. */
  encodingOf(shard: ShardId): string | null {
    return this.#encodings.get(shard) ?? null;
  }

  delete(shard: ShardId): void {
    this.#encodings.delete(shard);
    this.#partial.delete(shard);
  }
}
