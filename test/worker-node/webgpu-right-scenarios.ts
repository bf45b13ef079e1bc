import * as tf from '@tensorflow/tfjs';
import { randomShard } from '../../shared/data/random-shard.ts';
import type { Shard } from '../../shared/data/shard.ts';
import { benchmarkJob } from '../../shared/engine/benchmark-job.ts';
import type { GradientComputer } from '../../shared/engine/engine.ts';
import { biasedConv2d, biasedProduct, FusedKernel } from '../../shared/kernels/fused-ops.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { openWebGpuEngine } from '../../worker-node/engine/webgpu/open-webgpu.ts';
import { dense } from '../support/functional-model.ts';

/** Result of an operation on tfjs' own backend for the processor and on WebGPU. */
export interface Compared {
  readonly name: string;
  readonly shapes: readonly [readonly number[], readonly number[]];
  readonly values: readonly [readonly number[], readonly number[]];
}

/** Events of failures, in order. */
export type Events = readonly string[];

const counting = (size: number): number[] => Array.from({ length: size }, (_, i) => i + 1);
const waves = (shape: number[]): tf.Tensor => {
  const values = counting(shape.reduce((a, b) => a * b, 1)).map((i) => Math.sin(i * 1.7));
  return tf.tensor(values, shape);
};
const images = (shape: number[]): tf.Tensor4D => waves(shape) as tf.Tensor4D;
const wholes = (shape: number[], dtype: 'int32' | 'bool' = 'int32'): tf.Tensor => {
  const values = counting(shape.reduce((a, b) => a * b, 1)).map((i) => ((i * 5) % 7) - 3);
  return tf.tensor(dtype === 'bool' ? values.map((value) => (value > 0 ? 1 : 0)) : values, shape, dtype);
};
/** Gradient of a sum with different weights. */
const gradientOf = (f: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor): tf.Tensor =>
  tf.grad((input: tf.Tensor) => {
    const y = f(input);
    return tf.sum(tf.mul(y, waves(y.shape)));
  })(x);
/** Last results of many. */
const lastOf = (y: tf.Tensor): tf.Tensor => {
  const [rows = 0, ...others] = y.shape;
  const count = Math.min(10, rows);
  return tf.slice(y, [rows - count, ...others.map(() => 0)], [count, ...others]);
};
/** Image of 5 x 7 pixels, moved. tfjs' backend for the processor moves the first image of a batch only. */
const moved = (
  fill: 'reflect' | 'wrap' | 'nearest',
  interpolation: 'nearest' | 'bilinear',
  by: number,
): tf.Tensor =>
  tf.image.transform(images([1, 5, 7, 2]), tf.tensor2d([[1, 0, by, 0, 1, by, 0, 0]]), interpolation, fill);
const UNUSUAL = [NaN, -Infinity, Infinity, -2, -1.0001, -1e-5, 0, 1e-6, 1e-3, 0.5, 3, 20, 120, -120];

/** Operations that tfjs' kernels for WebGPU compute wrongly. */
const OPERATIONS: Readonly<Record<string, () => tf.Tensor>> = {
  'sum of whole numbers along the first axis': () => tf.sum(wholes([3, 4, 5]), 0),
  'maximum of whole numbers along the first axis': () => tf.max(wholes([3, 4, 5]), 0),
  'minimum of whole numbers along a middle axis': () => tf.min(wholes([3, 4, 5]), 1),
  'product of whole numbers along the first axis': () => tf.prod(wholes([3, 4]), 0),
  'transpose of whole numbers': () => tf.transpose(wholes([3, 4, 5]), [2, 0, 1]),
  'mean of whole numbers along the first axis': () => tf.mean(wholes([3, 4, 5]), 0),
  'any along the first axis': () => tf.any(wholes([3, 4, 5], 'bool'), 0),
  'all along the first axis': () => tf.all(wholes([3, 4], 'bool'), 0),
  'cumulative sum of whole numbers along the first axis': () => tf.cumsum(wholes([5, 4, 2]), 0),
  'sum of whole numbers by segments': () =>
    tf.unsortedSegmentSum(wholes([4, 3]), tf.tensor1d([1, 0, 1, 2], 'int32'), 3),
  'index of the largest value of a vector': () => tf.argMax(waves([9])),
  'index of the first of equal values': () => tf.argMax(tf.cast(wholes([2, 50]), 'float32'), 1),
  'index of the smallest value along the first axis': () => tf.argMin(tf.cast(wholes([50, 3]), 'float32'), 0),
  'cumulative sum from the end, 9 values': () => tf.cumsum(waves([3, 9]), 1, false, true),
  'cumulative sum from the end, 4 values': () => tf.cumsum(waves([3, 4]), 1, false, true),
  'gradient of a cumulative sum, 9 values': () => gradientOf((x) => tf.cumsum(x, 1), waves([2, 9])),
  'gradient of a cumulative sum, 5 values': () => gradientOf((x) => tf.cumsum(x, 1), waves([2, 5])),
  'cumulative product before each from the end': () => tf.cumprod(waves([2, 7]), 1, true, true),
  'cumulative sum of five axes': () => tf.cumsum(waves([2, 3, 2, 2, 2]), 1),
  'zeros around six axes': () =>
    tf.pad(waves([2, 1, 2, 1, 2, 2]), [...[1, 0, 2, 0, 0, 1].map((n): [number, number] => [n, 1])]),
  'no zeros around five axes': () =>
    tf.pad(
      waves([2, 1, 2, 1, 2]),
      counting(5).map((): [number, number] => [0, 0]),
    ),
  'repetition of five axes': () => tf.tile(waves([2, 1, 2, 3, 2]), [1, 2, 1, 2, 3]),
  'reversal of five axes': () => tf.reverse(waves([2, 3, 2, 1, 2]), [0, 4, 1]),
  'choice in five axes': () =>
    tf.where(wholes([2, 3, 2, 2, 2], 'bool'), waves([2, 3, 2, 2, 2]), tf.zeros([2, 3, 2, 2, 2])),
  'gradient of a leaky ReLU of five axes': () => gradientOf(tf.leakyRelu, waves([2, 3, 2, 2, 2])),
  'sum of twelve tensors': () => tf.addN(counting(12).map((i) => tf.mul(waves([3, 5]), i))),
  'softmax of 70,001 rows': () => tf.slice(tf.softmax(waves([70_001, 3])), [69_000, 0], [1_001, 3]),
  'transpose of a matrix of 1,100,000 rows': () =>
    tf.slice(tf.transpose(waves([1_100_000, 2])), [0, 1_099_900], [2, 100]),
  'products of 65,540 pairs of matrices': () =>
    lastOf(tf.matMul(waves([32_770, 2, 1, 2]), waves([32_770, 2, 2, 1]))),
  'products of 65,540 matrices and one': () => lastOf(tf.matMul(waves([65_540, 1, 2]), waves([1, 2, 1]))),
  'sum of no values': () => tf.sum(tf.zeros([0, 3]), 0),
  'sum of no values, as a tensor of the same axes': () => tf.sum(tf.zeros([2, 0, 3]), [1, 2], true),
  'product of no values': () => tf.prod(tf.zeros([0, 3]), 0),
  'gradient of a sum of no values': () =>
    gradientOf((x) => tf.sum(tf.slice(x, [0, 0], [0, 3])), waves([2, 3])),
  ...Object.fromEntries(
    (['reflect', 'wrap', 'nearest'] as const).flatMap((fill) => [
      [`pixels moved by one and a half, ${fill}`, () => moved(fill, 'nearest', 1.5)],
      [`pixels moved by three widths, ${fill}`, () => moved(fill, 'bilinear', -21)],
    ]),
  ),
  ...Object.fromEntries(
    (
      [
        'exp',
        'expm1',
        'log',
        'log1p',
        'sigmoid',
        'softplus',
        'tanh',
        'elu',
        'selu',
        'relu6',
        'sin',
        'cos',
        'tan',
      ] as const
    ).map((name) => [`${name} of unusual numbers`, () => tf[name](tf.tensor1d(UNUSUAL))]),
  ),
};

export const OPERATION_NAMES = Object.keys(OPERATIONS);

async function open() {
  const opened = await openWebGpuEngine();
  if ('missing' in opened) throw new Error(opened.missing);
  return opened;
}

const PIXELS = 784;
const LAYERS = [
  { class_name: 'Flatten', config: { name: 'flat', batch_input_shape: [null, 28, 28, 1] } },
  dense('hidden', 16, 'relu'),
  dense('dense_2', 10, 'softmax'),
];
const LAYOUT = [[PIXELS, 16], [16], [16, 10], [10]].map((shape) => ({ shape, trainable: true }));

/** Job of a small model, and shards for it. */
function smallJob(): { job: Job; weights: Float32Array; shardOf: (samples: number) => Shard } {
  const { job } = benchmarkJob(4);
  const topology = { class_name: 'Sequential', config: { name: 'm', layers: LAYERS } } as Job['topology'];
  const small = { ...job, topology, layout: LAYOUT };
  const words = randomStream(1, Purpose.syntheticDigits);
  const weights = Float32Array.from({ length: layoutOf(LAYOUT).length }, (_, i) => Math.sin(i) / 28);
  return { job: small, weights, shardOf: (samples) => randomShard(small, samples, words) };
}

/** Adds a call that the device refuses to a kernel of the small model. @returns a function that takes it out again */
function breakKernel(refused: (device: RefusingDevice) => void): () => void {
  const config = tf.getKernel(FusedKernel.convolution, 'webgpu');
  const replace = (kernelFunc: tf.KernelFunc): void => {
    tf.unregisterKernel(FusedKernel.convolution, 'webgpu');
    tf.registerKernel({ ...config, kernelFunc });
  };
  replace((call) => {
    refused((tf.backend() as unknown as { readonly device: RefusingDevice }).device);
    return config.kernelFunc(call);
  });
  return () => replace(config.kernelFunc);
}

interface RefusingDevice {
  createShaderModule(descriptor: { readonly code: string }): object;
  createBuffer(descriptor: { readonly size: number; readonly usage: number }): object;
}

/** Events of each way to compute with a kernel that the device refuses, then of one without it. */
async function refusing(refused: (device: RefusingDevice) => void): Promise<Events> {
  const events: string[] = [];
  const { engine, onLost } = await open();
  onLost((reason) => events.push(`lost: ${reason}`));
  const { job, weights, shardOf } = smallJob();
  const computer = await engine.load(job);
  computer.setWeights(weights);
  const shard = shardOf(4);
  const ways: Record<string, (computer: GradientComputer) => Promise<unknown>> = {
    gradient: () => computer.gradient(0 as Step, shard, new Float32Array(weights.length)),
    evaluation: () => computer.evaluate(shard),
    prediction: () => computer.predict(shard.inputs, 4),
  };
  const mend = breakKernel(refused);
  for (const [name, compute] of Object.entries(ways)) {
    await compute(computer).then(
      () => events.push(`${name} answered`),
      () => events.push(`${name} failed`),
    );
  }
  mend();
  await ways.gradient?.(computer);
  events.push('gradient answered');
  return events;
}

const STORAGE = 0x80;

/** Values of a tensor with 128 MB, and how many of them a process of limited memory does not hold. */
const FILLING = 2 ** 25;
const TOO_MANY = 64;

/** Events of an evaluation after more tensors than the memory holds. @param prepare returns what makes a tensor */
async function filling(prepare: () => () => tf.Tensor): Promise<Events> {
  const events: string[] = [];
  const { engine, onLost } = await open();
  onLost((reason) => events.push(`lost: ${reason}`));
  const { job, weights, shardOf } = smallJob();
  const computer = await engine.load(job);
  computer.setWeights(weights);
  const kept: tf.Tensor[] = [];
  try {
    const make = prepare();
    while (kept.length < TOO_MANY) kept.push(make());
    await computer.evaluate(shardOf(4));
    events.push('answered');
  } catch {
    events.push('failed');
  }
  return events;
}

export const SCENARIOS: Readonly<Record<string, () => Promise<unknown>>> = {
  /** Computes the operations, each on both backends. */
  async operations(): Promise<Compared[]> {
    const { onLost } = await open();
    onLost((reason) => {
      throw new Error(reason);
    });
    // Otherwise tfjs computes small tensors on the processor.
    tf.env().set('WEBGPU_CPU_FORWARD', false);
    const compared: Compared[] = [];
    for (const [name, compute] of Object.entries(OPERATIONS)) {
      const results: { shape: number[]; values: number[] }[] = [];
      for (const backend of ['cpu', 'webgpu']) {
        await tf.setBackend(backend);
        const result = tf.tidy(compute);
        results.push({ shape: result.shape, values: [...(await result.data())] });
      }
      const [expected, actual] = results as [(typeof results)[0], (typeof results)[0]];
      compared.push({
        name,
        shapes: [expected.shape, actual.shape],
        values: [expected.values, actual.values],
      });
    }
    return compared;
  },

  /**
   * Numbers of different results of the same operations in an exact run, which tfjs' kernels add up in an order that differs, and the
   * largest errors of the results, relative to the largest value.
   */
  async exact(): Promise<Record<string, { readonly results: number; readonly error: number }>> {
    const { engine } = await open();
    const { job } = smallJob();
    await engine.load({ ...job, microShard: 4 });
    const long = 2_500;
    const x = (): tf.Tensor => waves([long, 8]);
    const ids = (): tf.Tensor1D =>
      tf.tensor1d(
        counting(long).map((i) => (i * 7919) % 5),
        'int32',
      );
    const operations: Record<string, () => tf.Tensor> = {
      'sum over segments': () => tf.unsortedSegmentSum(x(), ids(), 6),
      'gradient of an embedding': () => gradientOf((table) => tf.gather(table, ids()), tf.ones([6, 8])),
      'product with long sums': () => tf.matMul(x(), waves([long, 20]), true),
    };
    const found: Record<string, { results: number; error: number }> = {};
    for (const [name, compute] of Object.entries(operations)) {
      await tf.setBackend('cpu');
      const expected = await tf.tidy(compute).data();
      await tf.setBackend('webgpu');
      const largest = Math.max(...expected.map(Math.abs));
      const results = new Set<string>();
      let error = 0;
      for (let i = 0; i < 4; i++) {
        const values = await tf.tidy(compute).data();
        results.add(values.join());
        values.forEach((value, at) => {
          error = Math.max(error, Math.abs(value - (expected[at] ?? NaN)) / largest);
        });
      }
      found[name] = { results: results.size, error };
    }
    return found;
  },

  /** Outputs of layers with ReLU whose input has NaN in the first of two samples. */
  async reluOfNaN(): Promise<readonly (readonly number[])[]> {
    await open();
    const input = tf.tensor2d([NaN, 1, -2, 3], [2, 2]);
    const image = tf.reshape(input, [2, 1, 2, 1]);
    const bias = tf.tensor1d([0, 1]);
    const outputs = [
      biasedProduct(tf, input, tf.ones([2, 2]), bias, true),
      biasedConv2d(tf, image, tf.ones([1, 2, 1, 2]), bias, { strides: [1, 1], padding: 'valid', relu: true }),
    ];
    return Promise.all(outputs.map(async (output) => [...(await output.data())]));
  },

  shader: () => refusing((device) => device.createShaderModule({ code: 'no WGSL' })),
  buffer: () => refusing((device) => device.createBuffer({ size: 1e12, usage: STORAGE })),

  /** Messages of operations that are refused. */
  async refused(): Promise<readonly string[]> {
    await open();
    const operations = [
      () => tf.tile(tf.ones([300_000, 1]), [1, 1_000]),
      () => tf.matMul(tf.ones([2_200_000, 1]), tf.ones([1, 1])),
      () => tf.stridedSlice(tf.ones([2, 2, 2, 2, 2]), [0, 0, 0, 0, 0], [2, 2, 2, 2, 2], [2, 1, 1, 1, 1]),
    ];
    return operations.map((compute) => {
      try {
        compute();
        return 'computed';
      } catch (error) {
        return errorMessage(error);
      }
    });
  },

  /** Shapes of convolutions of more images than WebGPU allows workgroups. They are compiled only: computing them takes minutes. */
  async manyImages(): Promise<readonly (readonly number[])[]> {
    await open();
    const convolve = (x: tf.Tensor): tf.Tensor =>
      tf.conv2d(x as tf.Tensor4D, images([1, 2, 4, 4]), 1, 'same');
    tf.env().set('WEBGPU_ENGINE_COMPILE_ONLY', true);
    return [convolve(tf.ones([65_540, 1, 2, 4])).shape, tf.grad(convolve)(tf.ones([32_800, 8, 1, 4])).shape];
  },

  /** Events of uploads that fill the memory of the GPU. */
  fullByUploads: () =>
    filling(() => {
      const values = new Float32Array(FILLING);
      return () => tf.add(tf.tensor(values), 1);
    }),

  /** Events of results that fill it, and of an evaluation afterwards. */
  fullByResults: () => filling(() => () => tf.tile(tf.ones([1, 2 ** 12]), [FILLING / 2 ** 12, 1])),

  /** Memory that the backend has for one size of shards, and after nine others. */
  async pool(): Promise<readonly [number, number]> {
    const { engine } = await open();
    const { job, weights, shardOf } = smallJob();
    const computer = await engine.load(job);
    computer.setWeights(weights);
    const allocated = (): number => {
      const { numBytesAllocatedInGPU } = tf.backend().memory() as unknown as {
        readonly numBytesAllocatedInGPU: number;
      };
      return numBytesAllocatedInGPU;
    };
    await computer.evaluate(shardOf(2_000));
    const once = allocated();
    for (let samples = 1_100; samples < 2_000; samples += 100) await computer.evaluate(shardOf(samples));
    return [once, allocated()];
  },
};
