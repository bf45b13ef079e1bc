import type { Shard } from '../../shared/data/shard.ts';
import type { ShardResult } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EngineInfo, Step } from '../../shared/protocol/messages.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';

/** Engine of a thread: one that a person can choose, or plain JavaScript, which is fast enough for checks only. */
export type ThreadEngine = EngineChoice | 'cpu';

/** What the engine's thread is started with. */
export interface ThreadStart {
  readonly choice: ThreadEngine;
}

/** Names a job loaded in the thread. */
export type JobId = number & { readonly __trainer: unique symbol };
/** Names something that the thread is asked for, and its answer. */
export type CallId = number & { readonly __call: unique symbol };

/** A shard's samples travel once, with the first message that names them; `samples` is null in later ones. */
export interface SentShard {
  readonly number: number;
  readonly samples: Shard | null;
}

/** From the thread of the socket to the thread of the engine. Large arrays are in shared memory, or handed over. */
export type ToEngine =
  | {
      readonly type: 'load';
      readonly call: CallId;
      readonly trainer: JobId;
      readonly job: Job;
    }
  | {
      readonly type: 'setWeights';
      readonly trainer: JobId;
      /** Shared, or handed over: stays as it is until others are set and computed with. */
      readonly weights: Float32Array;
      /** Where they belong in the flat vector. */
      readonly from: number;
    }
  | {
      readonly type: 'prepare';
      readonly trainer: JobId;
      readonly step: Step;
      readonly shard: SentShard;
    }
  | {
      readonly type: 'gradient';
      readonly call: CallId;
      readonly trainer: JobId;
      readonly step: Step;
      readonly shard: SentShard;
      /** Shared: receives the gradient. Null for where the last one went. */
      readonly room: Float32Array | null;
      /** Where the tail starts that is wanted ahead, if one is. */
      readonly tailFrom: number | null;
      readonly factored: boolean;
    }
  | {
      readonly type: 'evaluate';
      readonly call: CallId;
      readonly trainer: JobId;
      readonly shard: SentShard;
    }
  | {
      readonly type: 'predict';
      readonly call: CallId;
      readonly trainer: JobId;
      readonly images: Uint8Array;
      readonly samples: number;
    }
  | { readonly type: 'dispose'; readonly trainer: JobId }
  /** Nobody waits just now. */
  | { readonly type: 'collectGarbage' };

/** From the thread of the engine to the thread of the socket. */
export type FromEngine =
  | { readonly type: 'opened'; readonly info: EngineInfo; readonly why: string }
  | { readonly type: 'unopened'; readonly reason: string }
  | { readonly type: 'loaded'; readonly call: CallId; readonly givesFactors: boolean }
  /** The gradient's tail lies in the room. */
  | { readonly type: 'tail'; readonly call: CallId }
  | { readonly type: 'computed'; readonly call: CallId; readonly result: ShardResult }
  | { readonly type: 'predicted'; readonly call: CallId; readonly probabilities: Float32Array }
  | { readonly type: 'failed'; readonly call: CallId; readonly reason: string }
  | { readonly type: 'note'; readonly line: string };
