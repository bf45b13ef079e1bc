import type { Job } from '../shared/model/job.ts';
import type { TensorValues } from '../shared/model/tensors.ts';
import type { EngineInfo } from '../shared/protocol/messages.ts';

/** Inputs of test samples, as the job's samples are stored. */
export interface TestInputs {
  /** Values of each input: [count, ...shape]. */
  readonly inputs: readonly TensorValues[];
  readonly count: number;
}

/** Messages from the page to its Web Worker. */
export type FromPage =
  | {
      readonly type: 'join';
      readonly url: string;
      /** The name under which the coordinator lists this tab. */
      readonly name: string;
      readonly token: string | undefined;
    }
  | { readonly type: 'pause' }
  /** Share of the time that this tab may compute, above 0 to 1. */
  | { readonly type: 'share'; readonly share: number }
  /** Picture to classify whenever it or the weights change, stored as the job's samples are; null for none. */
  | { readonly type: 'picture'; readonly picture: Uint8Array | null }
  /** Stored inputs of test samples to predict whenever the weights change, some seconds apart at least; null for none. */
  | { readonly type: 'samples'; readonly samples: TestInputs | null }
  /** Current weights in float32, for a tab that only watches. */
  | { readonly type: 'weights'; readonly job: Job; readonly payload: Uint8Array }
  /** Opens the picture reader's engine while the coordinator still serves its files. */
  | { readonly type: 'prepareReader' }
  /** The network or the machine is back: check open connections, and reconnect without waiting. */
  | { readonly type: 'retryNow' };

/** Messages from the Web Worker to its page. */
export type FromTab =
  | {
      readonly type: 'engine';
      readonly info: EngineInfo;
      /** Why this engine was chosen. */
      readonly why: string;
    }
  | { readonly type: 'connecting' }
  | { readonly type: 'building' }
  | { readonly type: 'joined'; readonly workerId: string }
  /** The coordinator has put this tab on standby, or uses it again. */
  | { readonly type: 'standby'; readonly onStandby: boolean; readonly reason: string }
  /** Probabilities of the picture's classes. */
  | { readonly type: 'prediction'; readonly probabilities: readonly number[] }
  /** Values of the first output for the test samples: [count, ...shape]. */
  | { readonly type: 'samplePredictions'; readonly values: Float32Array }
  | {
      readonly type: 'waiting';
      readonly reason: string;
      readonly waitMs: number;
      /** Whether the coordinator has no place for a worker. */
      readonly isFull?: boolean;
    }
  | { readonly type: 'note'; readonly line: string }
  | { readonly type: 'paused' }
  | { readonly type: 'finished'; readonly reason: string }
  /** `code` is the close code, if there was a connection. */
  | { readonly type: 'refused'; readonly reason: string; readonly code: number | undefined }
  /** This browser cannot compute, or the program has a defect. */
  | { readonly type: 'failed'; readonly reason: string };
