import type { EngineInfo, ShardId, Step, WorkerId } from '../../shared/protocol/messages.ts';
import type { WorkerStats } from './worker-stats.ts';
import type { Connection } from '../../shared/transport.ts';

/** A worker that was welcomed. */
export interface Member {
  readonly id: WorkerId;
  readonly name: string;
  readonly engine: EngineInfo;
  /** Of its gradients. */
  readonly codec: string;
  /** Of the updates that it gets; null if its weights always come whole. */
  readonly updateCodec: string | null;
  /** Whether it takes samples ahead of their shard. */
  readonly prefetch: boolean;
  /** Whether it takes weights in two pieces. */
  readonly tails: boolean;
  readonly connection: Connection;
  readonly stats: WorkerStats;
  lastHeardMs: number;
  /** Answers that counted. */
  accepted: number;
  /** Answers that had to be rejected. */
  strikes: number;
  /** Of the weights that it was sent last. */
  weightsStep: Step | null;
  /** Of the weights whose tail it was sent last. */
  tailStep: Step | null;
  /** Shards that it was given in the current round, answered or not. */
  readonly shards: Set<ShardId>;
}
