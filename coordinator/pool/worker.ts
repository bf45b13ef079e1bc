import type { EngineInfo, ShardId, Step, WorkerId, Hello, Task } from '../../shared/protocol/messages.ts';
import { LinkMeter } from '../links/meter.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { nanoid } from 'nanoid';
import { sendsUpdates, initialUplinkCodec, type LinkCodecs } from '../links/codecs.ts';
import { createHash } from 'node:crypto';

/** A connection by whose frames its link is measured. */
export interface MeasuredConnection extends Connection {
  /** @param more whether this is a piece behind which another one follows as soon as that is there */
  send(frame: Uint8Array, more?: boolean): void;
}

/** A worker that was welcomed. */
export interface Worker {
  readonly id: WorkerId;
  readonly name: string;
  readonly engine: EngineInfo;
  /** What its welcome says. */
  readonly initialCodecs: { readonly codec: string; readonly updateCodec: string | null };
  /** Codecs that it may be asked to use in place of those; none if it keeps to them. */
  readonly switchableCodecs: readonly string[];
  /** Of its gradients, from the next shard on. */
  codec: string;
  /** Of the updates that it gets; null if its weights come whole. */
  updateCodec: string | null;
  /** What its link can do. */
  readonly link: LinkMeter;
  /** Whether it takes samples ahead of their shard. */
  readonly supportsPrefetch: boolean;
  /** Whether it takes weights in pieces. */
  readonly supportsBuckets: boolean;
  readonly connection: MeasuredConnection;
  readonly stats: WorkerStats;
  lastMessageMs: number;
  /** When its last answer came; 0 before the first. */
  lastAnswerMs: number;
  /** A step is faster without it. */
  isStandby: boolean;
  /** Whether it is told so. */
  readonly supportsStandby: boolean;
  /** Names the process across connections, see instanceKey; null if it does not say. */
  readonly instance: string | null;
  /** The network that it is in; empty where that is not known. */
  readonly networkBlock: string;
  /** When it was welcomed. */
  readonly joinedAtMs: number;
  /** Since when too much waits to be sent to it; null while that is not so. */
  backpressuredSinceMs: number | null;
  /** Answers that counted. */
  acceptedAnswers: number;
  /** Answers that had to be rejected; good ones make up for them in time. */
  strikes: number;
  /** Of the weights that it was sent last. */
  weightsStep: Step | null;
  /** What it was last sent of weights ahead of their step: all from a position on. */
  prefetchedWeights: { readonly step: Step; readonly from: number } | null;
  /** Shards that it was given in the current round, answered or not. */
  readonly roundShards: Set<ShardId>;
  /** Shards that it owes an answer, of whatever round, with the encoding that was asked for; null for the welcome's. */
  readonly requestedEncodings: Map<ShardId, string | null>;
}

/**
 * A worker as it is welcomed: nothing sent, nothing answered.
 * @param name as people see it
 * @param tails whether weights in pieces are worth while with it
 * @param recodes codecs that it may be asked to use in place of the first ones
 * @param sent hears of the bytes of each frame that was sent, and whether more is to follow
 */
export function createWorker(
  hello: Hello,
  codecs: LinkCodecs,
  connection: Connection,
  {
    name,
    nowMs,
    tails,
    recodes: switchableCodecs,
    sent,
  }: {
    readonly name: string;
    readonly nowMs: number;
    readonly tails: boolean;
    readonly recodes: readonly string[];
    readonly sent: (bytes: number, more: boolean) => void;
  },
): Worker {
  const stats = new WorkerStats();
  const updateCodec = sendsUpdates(codecs) ? codecs.down : null;
  return {
    id: nanoid<WorkerId>(10),
    name,
    engine: hello.engine,
    initialCodecs: { codec: initialUplinkCodec(codecs), updateCodec },
    switchableCodecs,
    codec: codecs.up,
    updateCodec,
    link: new LinkMeter(),
    supportsPrefetch: hello.prefetch ?? false,
    supportsBuckets: hello.tails === true && tails,
    connection: countBytes(connection, stats, sent),
    stats,
    lastMessageMs: nowMs,
    lastAnswerMs: 0,
    isStandby: false,
    supportsStandby: hello.reserve ?? false,
    instance: instanceKey(hello.instance),
    networkBlock: connection.addressBlock ?? '',
    joinedAtMs: nowMs,
    backpressuredSinceMs: null,
    acceptedAnswers: 0,
    strikes: 0,
    weightsStep: null,
    prefetchedWeights: null,
    roundShards: new Set(),
    requestedEncodings: new Map(),
  };
}

/** A connection that counts what leaves through it. */
function countBytes(
  connection: Connection,
  stats: WorkerStats,
  sent: (bytes: number, more: boolean) => void,
): MeasuredConnection {
  return {
    send(frame, more = false) {
      stats.bytesDown += frame.length;
      connection.send(frame);
      sent(frame.length, more);
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

/** What is known of a worker by how it has done so far. */
export class WorkerStats {
  /** Samples of answers that counted, of training and evaluation. */
  samples = 0;
  /** The part of them that trained. */
  trainSamples = 0;
  /** There and back for the last ping; null before the first. */
  rttMs: number | null = null;
  bytesUp = 0;
  bytesDown = 0;

  /** An answer counts. */
  record(task: Task, samples: number): void {
    this.samples += samples;
    if (task === 'train') this.trainSamples += samples;
  }
}

/** A shorter one could be guessed: 16 characters of a random text are some 90 bits. */
const MIN_INSTANCE_LENGTH = 16;

/**
 * What a worker's `instance` is known by. Whoever knows the instance takes the worker's place, so it is a secret of its
 * process: the coordinator keeps its digest, and sends it to no one.
 * @returns null for a worker that says none, or one that could be guessed
 */
export function instanceKey(instance: string | undefined): string | null {
  if (instance === undefined || instance.length < MIN_INSTANCE_LENGTH) return null;
  return createHash('sha256').update(instance).digest('base64');
}

const MAX_NAME_LENGTH = 100;
const DEFAULT_NAME = 'worker';

/** What no eye sees: control and format characters, and letters and symbols that are drawn as nothing. */
const INVISIBLE = /\p{C}|\p{Default_Ignorable_Code_Point}|\u2800/gu;
/** More marks on one letter than languages need cover the lines around it. */
const STACKED_MARKS = /(\p{M}{3})\p{M}+/gu;

/**
 * The name of a worker as people see it: composed, without invisible characters, single spaces, never empty, and not
 * that of another worker. The second `ann` is `ann (2)`.
 * @param asked what the worker calls itself
 * @param taken names of the others
 */
export function workerName(asked: string, taken: Iterable<string>): string {
  const visible = asked
    .normalize('NFC')
    .replace(/\s+/gu, ' ')
    .replace(INVISIBLE, '')
    .replace(STACKED_MARKS, '$1');
  const name = truncate(visible.replace(/ +/g, ' ').trim(), MAX_NAME_LENGTH) || DEFAULT_NAME;
  const others = new Set(Array.from(taken, normalizedName));
  let unique = name;
  for (let number = 2; others.has(normalizedName(unique)); number++) {
    const suffix = ` (${number})`;
    unique = truncate(name, MAX_NAME_LENGTH - suffix.length) + suffix;
  }
  return unique;
}

/** Alike for names that look alike but for capitals and widths. */
const normalizedName = (name: string): string => name.normalize('NFKC').toLowerCase();

/** Cuts at a whole character. @param length UTF-16 code units */
function truncate(text: string, length: number): string {
  const kept = text.slice(0, length);
  return (/[\ud800-\udbff]$/.test(kept) ? kept.slice(0, -1) : kept).trim();
}
