import type { Variable } from '@tensorflow/tfjs';
import type { Shard } from '../../../shared/data/shard.ts';
import type { TF } from '../../../shared/engine/model.ts';
import { sizeOf } from '../../../shared/model/layout.ts';
import type { Job } from '../../../shared/model/job.ts';

/** Half the range of what is added to weights: small enough for every model to stay finite with. */
const WEIGHT_NOISE = 1 / 16;

const hashNoise = (seed: number, i: number): number =>
  Math.imul(Math.imul(i + 1, 2654435761) ^ (seed + 1), 2246822519) >>> 16;

/** A shard of noise, other for each seed, on which a graph is captured and tried without keeping anybody's samples. */
export function noiseShard({ data }: Job, samples: number, seed: number): Shard {
  return {
    sampleNumbers: Uint32Array.from({ length: samples }, (_, i) => i + seed * samples),
    images: Uint8Array.from({ length: samples * sizeOf(data.sampleShape) }, (_, i) => hashNoise(seed, i) & 255),
    labels: Uint8Array.from({ length: samples }, (_, i) => hashNoise(seed, i) % data.classes),
  };
}

/**
 * Runs something while noise is added to the weights, which are put back then. Weights of zero, as many a last layer
 * starts with, make gradients of zero, which are the same in whatever order they are summed.
 */
export function withNoisyWeights<T>(tf: TF, variables: readonly Variable[], run: () => T): T {
  const kept = variables.map((variable) => variable.clone());
  try {
    variables.forEach((variable, v) => {
      const noise = Float32Array.from(
        { length: variable.size },
        (_, i) => (hashNoise(v, i) / 2 ** 15 - 1) * WEIGHT_NOISE,
      );
      tf.tidy(() => {
        variable.assign(tf.add(variable, tf.tensor(noise, variable.shape)));
      });
    });
    return run();
  } finally {
    variables.forEach((variable, v) => {
      const weights = kept[v];
      if (weights === undefined) return;
      variable.assign(weights);
      weights.dispose();
    });
  }
}
