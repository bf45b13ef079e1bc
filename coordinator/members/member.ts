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
export interface Member {
  readonly id: WorkerId;
  readonly name: string;
  readonly engine: EngineInfo;
  /** What its welcome says. */
  readonly welcomed: { readonly codec: string; readonly updateCodec: string | null };
  /** Codecs that it may be asked to use in place of those; none if it keeps to them. */
  readonly recodes: readonly string[];
  /** Of its gradients, from the next shard on. */
  codec: string;
  /** Of the updates that it gets; null if its weights come whole. */
  updateCodec: string | null;
  /** What its link can do. */
  readonly link: LinkMeter;
  /** Whether it takes samples ahead of their shard. */
  readonly prefetch: boolean;
  /** Whether it takes weights in pieces. */
  readonly tails: boolean;
  readonly connection: MeasuredConnection;
  readonly stats: WorkerStats;
  lastHeardMs: number;
  /** When its last answer came; 0 before the first. */
  answeredMs: number;
  /** A step is faster without it. */
  reserve: boolean;
  /** Whether it is told so. */
  readonly hearsReserve: boolean;
  /** Names the process across connections, see instanceKey; null if it does not say. */
  readonly instance: string | null;
  /** The network that it is in; empty where that is not known. */
  readonly block: string;
  /** When it was welcomed. */
  readonly welcomedMs: number;
  /** Since when too much waits to be sent to it; null while that is not so. */
  cloggedSinceMs: number | null;
  /** Answers that counted. */
  accepted: number;
  /** Answers that had to be rejected; good ones make up for them in time. */
  strikes: number;
  /** Of the weights that it was sent last. */
  weightsStep: Step | null;
  /** What it was last sent of weights ahead of their step: all from a position on. */
  ahead: { readonly step: Step; readonly from: number } | null;
  /** Shards that it was given in the current round, answered or not. */
  readonly shards: Set<ShardId>;
  /** Shards that it owes an answer, of whatever round, with the encoding that was asked for; null for the welcome's. */
  readonly asked: Map<ShardId, string | null>;
}
