import type { ShardResult } from '../../shared/engine/engine.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EngineInfo, Step } from '../../shared/protocol/messages.ts';

export const BACKENDS = ['wasm', 'webgl', 'webgpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** What is asked of an engine's Web Worker and answered, each with the number of its question. */
export type EngineRequest =
  | { readonly type: 'open'; readonly backend: BackendName }
  | { readonly type: 'load'; readonly job: Job }
  | {
      readonly type: 'gradient';
      readonly step: Step;
      /** Null: the one that was prepared. */
      readonly shard: Shard | null;
      /** Where the gradient goes; travels there and back instead of being made anew. */
      readonly room: Float32Array<ArrayBuffer>;
    }
  | { readonly type: 'evaluate'; readonly shard: Shard }
  | { readonly type: 'predict'; readonly images: Uint8Array; readonly samples: number };

/** What is told without waiting for an answer. In order with the questions. */
export type EngineNotification =
  | { readonly type: 'weights'; readonly values: Float32Array; readonly from: number }
  | { readonly type: 'prepare'; readonly step: Step; readonly shard: Shard }
  | { readonly type: 'dispose' };

export type ToEngine =
  EngineNotification | { readonly type: 'question'; readonly id: number; readonly question: EngineRequest };

/** Answers by question. */
export interface EngineResponses {
  open: EngineInfo;
  load: null;
  gradient: ShardResult & { readonly room: Float32Array<ArrayBuffer> };
  evaluate: ShardResult;
  predict: Float32Array;
}

export type FromEngine =
  | { readonly type: 'answer'; readonly id: number; readonly answer: EngineResponses[keyof EngineResponses] }
  | { readonly type: 'failed'; readonly id: number; readonly reason: string }
  /** The GPU is gone; nothing that was on it can be had any more. */
  | { readonly type: 'lost'; readonly reason: string };
