import * as tf from '@tensorflow/tfjs';
import type { Shard } from '../../shared/data/shard.ts';
import type { GradientComputer, ShardResult } from '../../shared/engine/engine.ts';
import {
  biasedConv2d,
  biasedProduct,
  keyedDropout,
  softmaxCrossEntropyGrad,
} from '../../shared/kernels/fused-ops.ts';
import { sampleKeys, type MaskKey } from '../../shared/kernels/masks/dropout-masks.ts';
import type { Job } from '../../shared/model/job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { openWebGpuEngine } from '../../worker-node/engine/webgpu/open-webgpu.ts';
import { sized, type ConvGeometry } from './reference-kernels.ts';

/** Values of an op with weights and of the gradient of its output. */
interface OpValues {
  readonly relu: boolean;
  readonly x: Float32Array;
  readonly filter: Float32Array;
  readonly bias: Float32Array;
  readonly dy: Float32Array;
}

/** Requests that name the type of their answer. */
export interface GpuRequests {
  /** Convolution, bias, ReLU. @returns output, gradients of input, filter and bias */
  convolution: [OpValues & { readonly geometry: ConvGeometry }, Float32Array[]];
  /** Product of [rows, inputs] and [inputs, outputs], bias, ReLU; answers as `convolution`. */
  product: [OpValues & { readonly sizes: readonly [number, number, number] }, Float32Array[]];
  /** @returns output and gradient of the input */
  maxPool: [
    { readonly geometry: ConvGeometry; readonly x: Float32Array; readonly dy: Float32Array },
    Float32Array[],
  ];
  /** Gradient of the cross-entropy; `scale` has one value or one for each row. */
  softmax: [
    {
      readonly classes: number;
      readonly logits: Float32Array;
      readonly target: Float32Array;
      readonly scale: Float32Array;
    },
    Float32Array,
  ];
  /** @returns output and gradient of the input */
  dropout: [
    {
      readonly key: MaskKey;
      readonly sampleNumbers: Uint32Array;
      readonly layer: number;
      readonly rate: number;
      readonly shape: number[];
      readonly x: Float32Array;
      readonly dy: Float32Array;
    },
    Float32Array[],
  ];
  load: [{ readonly job: Job; readonly weights: Float32Array }, null];
  gradient: [
    { readonly step: Step; readonly shard: Shard },
    { readonly gradient: Float32Array; readonly result: ShardResult },
  ];
  memory: [null, { readonly tensors: number; readonly bytes: number }];
}

export interface GpuMessage {
  readonly kind: keyof GpuRequests;
  readonly request: unknown;
}

/** Opens WebGPU in this process and answers the requests of its parent. */
export async function serveGpu(): Promise<void> {
  const opened = await openWebGpuEngine();
  if ('missing' in opened) throw new Error(opened.missing);
  let problem: string | null = null;
  opened.onLost((reason) => (problem = reason));
  let job: Job;
  let computer: GradientComputer;

  const answers: {
    [Kind in keyof GpuRequests]: (request: GpuRequests[Kind][0]) => Promise<GpuRequests[Kind][1]>;
  } = {
    convolution({ geometry: g, ...values }) {
      const { outHeight, outWidth } = sized(g);
      if (typeof g.pad !== 'string') throw new Error('Convolutions are padded by name.');
      const settings = {
        strides: [g.strideY, g.strideX] as const,
        padding: g.pad,
        relu: values.relu,
      };
      return valueAndGradients(
        (x, filter, bias) => biasedConv2d(tf, x, filter, bias, settings),
        values,
        [g.batch, g.height, g.width, g.channels],
        [g.filterHeight, g.filterWidth, g.channels, g.filters],
        [g.batch, outHeight, outWidth, g.filters],
      );
    },
    product({ sizes: [rows, inputs, outputs], ...values }) {
      return valueAndGradients(
        (x, kernel, bias) => biasedProduct(tf, x, kernel, bias, values.relu),
        values,
        [rows, inputs],
        [inputs, outputs],
        [rows, outputs],
      );
    },
    maxPool({ geometry: g, x, dy }) {
      const { outHeight, outWidth } = sized(g);
      return readAll(() => {
        const pool = (image: tf.Tensor): tf.Tensor =>
          tf.maxPool(
            image as tf.Tensor4D,
            [g.filterHeight, g.filterWidth],
            [g.strideY, g.strideX],
            g.pad as 'valid' | 'same',
          );
        const { value, grad } = tf.valueAndGrad(pool)(
          tf.tensor(x, [g.batch, g.height, g.width, g.channels]),
          tf.tensor(dy, [g.batch, outHeight, outWidth, g.channels]),
        );
        return [value, grad];
      });
    },
    async softmax({ classes, logits, target, scale }) {
      const [gradient] = await readAll(() => {
        const shape = [logits.length / classes, classes];
        const rows = scale.length === 1 ? tf.scalar(scale[0] ?? NaN) : tf.tensor(scale);
        const fused = softmaxCrossEntropyGrad(tf, tf.tensor(logits, shape), tf.tensor(target, shape), rows);
        if (fused === null) throw new Error('The kernel is not registered.');
        return [fused];
      });
      return gradient as Float32Array;
    },
    dropout: ({ key, sampleNumbers, layer, rate, shape, x, dy }) =>
      readAll(() => {
        const words = sampleKeys(key, sampleNumbers);
        const keys = tf.tensor(new Int32Array(words.buffer), [sampleNumbers.length, 2], 'int32');
        const drop = (values: tf.Tensor): tf.Tensor => keyedDropout(tf, values, keys, layer, rate);
        const { value, grad } = tf.valueAndGrad(drop)(tf.tensor(x, shape), tf.tensor(dy, shape));
        return [value, grad];
      }),
    async load({ weights, ...request }) {
      job = request.job;
      computer = await opened.engine.load(job);
      computer.setWeights(weights);
      return null;
    },
    async gradient({ step, shard }) {
      const gradient = new Float32Array(
        job.layout.reduce((sum, { shape }) => sum + tf.util.sizeFromShape([...shape]), 0),
      );
      const result = await computer.gradient(step, shard, gradient);
      return { gradient, result };
    },
    memory() {
      const { numTensors, ...others } = tf.memory();
      return Promise.resolve({
        tensors: numTensors,
        bytes: (others as unknown as { readonly numBytesInGPU: number }).numBytesInGPU,
      });
    },
  };

  process.on('message', ({ kind, request }: GpuMessage) => {
    void (answers[kind] as (request: unknown) => Promise<unknown>)(request)
      .then((answer) => {
        if (problem !== null) throw new Error(problem);
        return { answer };
      })
      .catch((error: unknown) => ({ failed: error instanceof Error ? (error.stack ?? '') : String(error) }))
      .then((message) => process.send?.(message));
  });
  process.send?.({ answer: opened.engine.info });
}

function valueAndGradients(
  op: (x: tf.Tensor, filter: tf.Tensor, bias: tf.Tensor) => tf.Tensor,
  { x, filter, bias, dy }: OpValues,
  ...[xShape, filterShape, outShape]: [number[], number[], number[]]
): Promise<Float32Array[]> {
  return readAll(() => {
    const { value, grads } = tf.valueAndGrads(op)(
      [tf.tensor(x, xShape), tf.tensor(filter, filterShape), tf.tensor1d(bias)],
      tf.tensor(dy, outShape),
    );
    return [value, ...grads];
  });
}

/** Computes tensors, reads and frees them. */
async function readAll(compute: () => tf.Tensor[]): Promise<Float32Array[]> {
  const tensors = tf.tidy(compute);
  try {
    return await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()));
  } finally {
    tf.dispose(tensors);
  }
}
