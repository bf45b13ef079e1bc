import type { Codec } from '../../shared/codec/codec.ts';
import { initialUplinkCodec, sendsUpdates, type LinkCodecs } from './codecs.ts';
import { LinkMeter } from './meter.ts';

/** The link to one worker: its codecs and its measurements. */
export interface WorkerLink {
  readonly meter: LinkMeter;
  /** Codec of gradients that the worker's welcome names. */
  readonly initialCodec: Codec;
  /** Codecs that the worker can be asked to use instead; empty if its codecs never change. */
  readonly switchableCodecs: readonly string[];
  /** Offsets at which the worker's vectors are split, ascending, the first is 0; [0] for vectors that travel whole. */
  readonly bucketOffsets: readonly number[];
  /** Codec of the worker's gradients, from the next shard on. */
  codec: string;
  /** Codec of the updates that the worker receives; null if it receives whole weights. */
  updateCodec: string | null;
  /** Time of the worker's last answer; 0 before the first. */
  lastAnswerMs: number;
}

export interface WorkerLinkOptions {
  /** Codecs that the worker and the coordinator agreed on. */
  readonly codecs: LinkCodecs;
  readonly switchableCodecs: readonly string[];
  readonly bucketOffsets: readonly number[];
}

/** Link to a worker that has neither received nor answered anything yet. */
export function createWorkerLink({ codecs, switchableCodecs, bucketOffsets }: WorkerLinkOptions): WorkerLink {
  return {
    meter: new LinkMeter(),
    initialCodec: initialUplinkCodec(codecs),
    switchableCodecs,
    bucketOffsets,
    codec: codecs.up,
    updateCodec: sendsUpdates(codecs) ? codecs.down : null,
    lastAnswerMs: 0,
  };
}
