import type { EngineInfo, ShardId, Step, WorkerId } from '../../shared/protocol/messages.ts';
import type { LinkMeter } from '../links/link-figures.ts';
import type { WorkerStats } from './worker-stats.ts';
import type { Connection } from '../../shared/transport.ts';

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
