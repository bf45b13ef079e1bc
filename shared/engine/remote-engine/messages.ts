import type { Shard } from '../../data/shard.ts';
import type { TensorValues } from '../../model/tensors.ts';
import type { Job } from '../../model/job.ts';
import type { EngineInfo, Step } from '../../protocol/messages.ts';
import type { ShardResult } from '../engine.ts';

/** Client's end of the connection to an engine in another thread. */
export interface Port {
  /**
   * Never delivers an answer before it returns.
   * @param transfer buffers that the sender gives up
   */
  readonly post: (message: ToEngine, transfer: ArrayBuffer[]) => void;
  readonly listen: (
    onMessage: (message: FromEngine) => void,
    /** Called when the thread ends or can no longer be understood; calls after the first are ignored. */
    onDeath: (reason: string) => void,
  ) => void;
  /** Ends the thread, even in the middle of a computation. */
  readonly end: () => void;
}

/** Identifies a job that the engine has loaded. */
export type JobId = number & { readonly __job: unique symbol };
/** Identifies a request and its answer. */
export type CallId = number & { readonly __call: unique symbol };

/** Reference to a shard. The samples travel with the first message that names the shard; later ones have null. */
export interface ShardReference {
  readonly number: number;
  readonly samples: Shard | null;
}

/** Messages that are answered. */
export type EngineRequest =
  | {
      readonly type: 'open';
      /** Passed to the `open` function of the server. */
      readonly choice: unknown;
    }
  | { readonly type: 'load'; readonly jobId: JobId; readonly job: Job }
  | {
      readonly type: 'gradient';
      readonly jobId: JobId;
      readonly step: Step;
      readonly shard: ShardReference;
      /** Receives the gradient: shared memory, or a buffer that travels back with the answer. Null: the last shared one. */
      readonly buffer: Float32Array | null;
      /** Offset of the bucket to report ahead of the answer; for shared buffers only. */
      readonly bucketOffset: number | null;
      readonly isFactored: boolean;
    }
  | { readonly type: 'evaluate'; readonly jobId: JobId; readonly shard: ShardReference }
  | {
      readonly type: 'predict';
      readonly jobId: JobId;
      readonly inputs: readonly TensorValues[];
      readonly samples: number;
      /** Number of the output. */
      readonly output: number;
    };

/** Answers, by the type of the request. */
export interface EngineAnswers {
  readonly open: { readonly info: EngineInfo; readonly why: string };
  readonly load: { readonly supportsFactors: boolean };
  readonly gradient: {
    readonly result: ShardResult;
    /** The request's buffer if that was transferred. */
    readonly buffer: Float32Array<ArrayBuffer> | null;
  };
  readonly evaluate: ShardResult;
  readonly predict: Float32Array;
}

/** Messages that are not answered. They keep their order with requests. */
export type EngineNotification =
  | {
      readonly type: 'setWeights';
      readonly jobId: JobId;
      /** Stays unchanged until other weights are set and used. */
      readonly weights: Float32Array;
    }
  | {
      readonly type: 'prepare';
      readonly jobId: JobId;
      readonly step: Step;
      readonly shard: ShardReference;
    }
  | { readonly type: 'dispose'; readonly jobId: JobId }
  | { readonly type: 'collectGarbage' };

/** Messages from the client to the engine's thread. */
export type ToEngine =
  { readonly type: 'request'; readonly call: CallId; readonly request: EngineRequest } | EngineNotification;

/** Messages from the engine's thread to the client. */
export type FromEngine =
  | {
      readonly type: 'answer';
      readonly call: CallId;
      readonly answer: EngineAnswers[keyof EngineAnswers];
    }
  | { readonly type: 'failed'; readonly call: CallId; readonly reason: string }
  /** The bucket of the gradient is complete in the shared buffer. */
  | { readonly type: 'bucket'; readonly call: CallId }
  | { readonly type: 'note'; readonly line: string }
  /** The device is gone; the engine cannot compute any more. */
  | { readonly type: 'lost'; readonly reason: string };

/** Whether an array lies in memory that can be transferred with a message, not in shared memory. */
export const isTransferable = (values: Float32Array): values is Float32Array<ArrayBuffer> =>
  values.buffer instanceof ArrayBuffer;
