import { initialUplinkCodec, sendsUpdates, type LinkCodecs } from './codecs.ts';
import { LinkMeter } from './meter.ts';

/** The link to one worker: its codecs and its measurements. */
export interface WorkerLink {
  readonly meter: LinkMeter;
  /** Codecs that the worker's welcome names; a null `updateCodec` means that weights are sent whole. */
  readonly initialCodecs: { readonly codec: string; readonly updateCodec: string | null };
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
  const updateCodec = sendsUpdates(codecs) ? codecs.down : null;
  return {
    meter: new LinkMeter(),
    initialCodecs: { codec: initialUplinkCodec(codecs), updateCodec },
    switchableCodecs,
    bucketOffsets,
    codec: codecs.up,
    updateCodec,
    lastAnswerMs: 0,
  };
}
