import type { Shard } from '../../../shared/data/shard.ts';
import { sizeOf } from '../../../shared/model/layout.ts';
import type { Job } from '../../../shared/model/job.ts';

/** A shard of noise, other for each seed, on which a graph is captured and tried without keeping anybody's samples. */
export function trialShard({ data }: Job, samples: number, seed: number): Shard {
  const hash = (i: number): number => Math.imul(Math.imul(i + 1, 2654435761) ^ (seed + 1), 2246822519) >>> 16;
  return {
    sampleNumbers: Uint32Array.from({ length: samples }, (_, i) => i + seed * samples),
    images: Uint8Array.from({ length: samples * sizeOf(data.sampleShape) }, (_, i) => hash(i) & 255),
    labels: Uint8Array.from({ length: samples }, (_, i) => hash(i) % data.classes),
  };
}
