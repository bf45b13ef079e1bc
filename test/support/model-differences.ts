import { type StoredDataset, imageDataset } from '../../shared/data/dataset.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job, Topology } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { hashedPixels, hashedTensor, lowbias32 } from './hashed-values.ts';
import { norm } from './vectors.ts';

// Runs in a page as well as in Node.

/** Figures of test/reference/keras_models.py, whose header describes them. */
export interface KerasModels {
  readonly sampleShape: readonly number[];
  readonly samples: number;
  readonly classes: number;
  readonly models: readonly KerasModel[];
}

export interface KerasModel {
  readonly name: string;
  readonly topology: Topology;
  readonly loss: number;
  readonly tensors: readonly {
    readonly shape: readonly number[];
    readonly trainable: boolean;
    readonly norm: number;
    readonly projections: readonly number[];
  }[];
}

/** Difference of a step from that of Keras. */
export interface Difference {
  /** Relative difference of the loss. */
  readonly loss: number;
  /** Largest gradient difference of all tensors, relative to the tensor's gradient. */
  readonly gradient: number;
  /** Name of the tensor with the largest difference. */
  readonly tensor: string;
}

export function kerasDataset({ sampleShape, samples, classes }: KerasModels): StoredDataset {
  const size = samples * sampleShape.reduce((a, b) => a * b, 1);
  const split = {
    images: hashedPixels(size),
    labels: Uint8Array.from({ length: samples }, (_, i) => i % classes),
    count: samples,
  };
  return imageDataset({
    name: 'noise',
    description: 'noise',
    sampleShape,
    classes,
    train: split,
    test: split,
  });
}

/** Weights of a model as Keras had them. @param names of the tensors */
export function kerasWeights(job: Job, names: readonly string[]): Float32Array {
  const layout = layoutOf(job.layout);
  const weights = new Float32Array(layout.length);
  layout.slices.forEach((slice, t) => weights.set(hashedTensor(t, names[t] ?? '', slice), slice.offset));
  return weights;
}

/**
 * Computes one step of a model on an engine and compares it with that of Keras.
 * @param repeats number of computations, of which the last is compared: engines may compute the first shard of a size
 *   differently
 * @param between called after each computation
 * @throws Error if the tensors differ from those of Keras
 */
export async function compareWithKeras(
  engine: Engine,
  dataset: StoredDataset,
  model: KerasModel,
  { job, weights, names }: { job: Job; weights: Float32Array; names: readonly string[] },
  repeats = 1,
  between: () => void = () => undefined,
): Promise<Difference> {
  const layout = layoutOf(job.layout);
  const here = JSON.stringify(job.layout.map(({ shape, trainable }) => [shape, trainable]));
  const there = JSON.stringify(model.tensors.map(({ shape, trainable }) => [shape, trainable]));
  if (here !== there) throw new Error(`The tensors are ${here}, but those of Keras are ${there}.`);
  const computer = await engine.load(job);
  const gradient = new Float32Array(layout.length);
  const { count } = dataset.train;
  computer.setWeights(weights);
  const shard = { ...dataset.train, sampleNumbers: Uint32Array.from({ length: count }, (_, i) => i) };
  let lossSum = NaN;
  try {
    for (let i = 0; i < repeats; i++) {
      // The numbers of random layers are those of step 0.
      ({ lossSum } = await computer.gradient(0 as Step, shard, gradient));
      between();
    }
  } finally {
    computer.dispose();
  }

  // A gradient that cancels, such as that of a bias before batch normalization, consists of rounding errors.
  const minNorm = 1e-2 * Math.hypot(...model.tensors.map((tensor) => tensor.norm));
  let worst = { gradient: 0, tensor: '' };
  layout.slices.forEach(({ offset, size }, t) => {
    const part = gradient.subarray(offset, offset + size);
    const { norm: expected = 0, projections = [] } = model.tensors[t] ?? {};
    const sums = projections.map((_, k) =>
      part.reduce((sum, g, i) => sum + (lowbias32(4 * i + k + 99) >>> 31 === 1 ? g : -g), 0),
    );
    const differences = [norm(part) - expected, ...sums.map((sum, k) => sum - (projections[k] ?? 0))];
    const scale = Math.max(expected, minNorm);
    for (const difference of differences) {
      const relative = difference === 0 ? 0 : Math.abs(difference) / scale;
      if (!(relative <= worst.gradient)) worst = { gradient: relative, tensor: names[t] ?? '' };
    }
  });
  return { loss: Math.abs(lossSum - model.loss) / model.loss, ...worst };
}
