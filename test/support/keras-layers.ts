import { layoutOf } from '../../shared/model/layout.ts';
import { norm } from './vectors.ts';
import { buildModel } from '../../shared/engine/model.ts';
import { expandTopology } from '../../shared/model/expand-topology.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job, Topology } from '../../shared/model/job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { TF } from '../../shared/util/tf.ts';
import { imageShard } from './images.ts';
import { imageTensors } from '../../shared/model/tensors.ts';
import { classOutput } from '../../shared/model/stored-job.ts';

/** A small model and Keras' results for one step; see test/reference/keras_layers.py. */
export interface LayerCase {
  readonly name: string;
  readonly topology: Topology;
  readonly sampleShape: number[];
  /** Arrays in base64. */
  readonly weights: string;
  readonly images: string;
  readonly labels: number[];
  readonly loss: number;
  readonly gradient: string;
  readonly float32Error: number;
}

/** Number of classes of every model. */
const CLASSES = 3;

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const floatsOf = (base64: string): Float32Array => new Float32Array(bytesOf(base64).buffer);

/** Job of a case. The topology is prepared as the coordinator prepares it. */
export async function layerJob(
  tf: TF,
  { topology, sampleShape, labels }: Pick<LayerCase, 'topology' | 'sampleShape' | 'labels'>,
): Promise<Job> {
  const written = expandTopology(topology);
  const built = await buildModel(tf, written);
  const layout = built.entries;
  built.dispose();
  return {
    topology: written,
    layout,
    optimizer: { name: 'adadelta', learningRate: 1, rho: 0.95, epsilon: 1e-8 },
    batchSize: labels.length,
    epochs: 1,
    seed: 1,
    ...imageTensors(sampleShape, CLASSES),
    outputs: [classOutput('output', CLASSES)],
    data: { name: 'noise', trainSamples: labels.length, testSamples: 1 },
  };
}

/** Deviation of an engine from Keras in one step. */
export interface Deviation {
  /** Relative difference of the loss. */
  readonly loss: number;
  /** Norm of the worst tensor's gradient difference, relative to the tensor's norm (see MIN_SHARE). */
  readonly gradient: number;
  /** Whether the gradient of every frozen tensor is exactly 0. */
  readonly frozenAreZero: boolean;
}

/** Minimum reference norm of a tensor, whose own norm may be zero, as a part of the whole gradient's norm. */
const MIN_SHARE = 1e-2;

/**
 * Computes a case on an engine.
 * @param repeats number of computations, of which the last is measured: engines may compute the first shard of a size
 *   differently
 * @param between called after each computation
 */
export async function measureDeviation(
  tf: TF,
  engine: Engine,
  each: LayerCase,
  repeats = 1,
  between: () => void = () => undefined,
): Promise<Deviation> {
  const job = await layerJob(tf, each);
  const computer = await engine.load(job);
  try {
    const weights = floatsOf(each.weights);
    computer.setWeights(weights);
    const gradient = new Float32Array(weights.length);
    const shard = imageShard({ images: bytesOf(each.images), labels: Uint8Array.from(each.labels) });
    let lossSum = NaN;
    for (let i = 0; i < repeats; i++) {
      ({ lossSum } = await computer.gradient(i as Step, shard, gradient));
      between();
    }
    return { loss: Math.abs(lossSum / each.loss - 1), ...compare(job, gradient, floatsOf(each.gradient)) };
  } finally {
    computer.dispose();
  }
}

function compare(
  job: Job,
  gradient: Float32Array,
  expected: Float32Array,
): Pick<Deviation, 'gradient' | 'frozenAreZero'> {
  const { slices, length } = layoutOf(job.layout);
  if (length !== expected.length) throw new Error(`${length} weights instead of ${expected.length}.`);
  const minNorm = MIN_SHARE * norm(expected);
  let worst = 0;
  let frozenAreZero = true;
  for (const { offset, size, trainable } of slices) {
    const wanted = expected.subarray(offset, offset + size);
    const found = gradient.subarray(offset, offset + size);
    const scale = Math.max(norm(wanted), minNorm);
    worst = Math.max(worst, norm(found.map((value, i) => value - wanted[i]!)) / scale);
    if (!trainable && wanted.every((value) => value === 0)) frozenAreZero &&= found.every((v) => v === 0);
  }
  return { gradient: worst, frozenAreZero };
}

/**
 * Least bound of a gradient's error. The worst tensors are biases in front of a batch normalization, whose gradient in float64 is 0: what
 * remains is the rounding of a sum that cancels, relative to MIN_SHARE of the whole gradient. For 'BatchNormalization {"center": false} of
 * rows' it is 2.1e-5 with fused multiply-add and 0.7e-5 without; for the same layer with center and scale, 1.8e-5 and 2.8e-5, and
 * 3e-5 in Keras' own float32.
 */
const MIN_GRADIENT_BOUND = 2.5e-5;

/** Error bounds for float32 sums in any order: a few times the error of Keras' own float32 gradient. */
export const errorBounds = ({ float32Error }: LayerCase): { loss: number; gradient: number } => ({
  loss: 2e-6,
  gradient: Math.max(MIN_GRADIENT_BOUND, 3 * float32Error),
});
