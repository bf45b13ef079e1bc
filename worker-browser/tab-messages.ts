import type { Job } from '../shared/model/job.ts';
import type { EngineInfo } from '../shared/protocol/messages.ts';

/** What the page asks of its Web Worker. */
export type FromPage =
  | {
      readonly type: 'join';
      readonly url: string;
      /** How the coordinator shows this tab. */
      readonly name: string;
      readonly token: string | undefined;
    }
  | { readonly type: 'pause' }
  /** How much of the time this tab may compute, above 0 to 1. */
  | { readonly type: 'share'; readonly share: number }
  /** What to classify whenever it or the weights change, as the job's samples are stored; null for nothing. */
  | { readonly type: 'picture'; readonly picture: Uint8Array | null }
  /** The weights of now, in float32, for a tab that only watches. */
  | { readonly type: 'weights'; readonly job: Job; readonly payload: Uint8Array }
  /** Opens what pictures are read with, while the coordinator is there to load it from. */
  | { readonly type: 'prepareReader' }
  /** The network, or the machine, is back: what hangs is to be noticed, and a wait for the next try ended. */
  | { readonly type: 'hurry' };

/** What the Web Worker tells the page. */
export type FromTab =
  | {
      readonly type: 'engine';
      readonly info: EngineInfo;
      /** Why this one was taken. */
      readonly why: string;
    }
  | { readonly type: 'connecting' }
  | { readonly type: 'building' }
  | { readonly type: 'joined'; readonly workerId: string }
  /** The coordinator does without this tab for now, or does not any more. */
  | { readonly type: 'standby'; readonly onStandby: boolean; readonly reason: string }
  /** Of the picture, by class. */
  | { readonly type: 'read'; readonly probabilities: readonly number[] }
  | { readonly type: 'waiting'; readonly reason: string; readonly waitMs: number }
  | { readonly type: 'note'; readonly line: string }
  | { readonly type: 'paused' }
  | { readonly type: 'finished'; readonly reason: string }
  /** `code`: of the close, if there was a connection. */
  | { readonly type: 'refused'; readonly reason: string; readonly code: number | undefined }
  /** This tab cannot compute, or a defect of ours. */
  | { readonly type: 'failed'; readonly reason: string };
