import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../util/tf.ts';

// Ops that a backend computes in one kernel where tfjs has several, with gradients. A backend has them if their kernels are
// registered for it.

/** Names of the kernels. */
export const FusedKernel = {
  /** Convolution or product with a matrix, plus bias, then ReLU. */
  convolution: 'BiasedConvolution',
  gradInput: 'BiasedConvolutionGradInput',
  gradFilter: 'BiasedConvolutionGradFilter',
  softmaxGrad: 'SoftmaxCrossEntropyGrad',
  /** Product with a dropout mask that the kernel computes. */
  dropout: 'KeyedDropout',
} as const;

const has = (tf: TF, name: string): boolean =>
  (tf.getKernel(name, tf.getBackend()) as tfjs.KernelConfig | undefined) !== undefined;

/** Whether the backend in use has biasedConv2d and biasedProduct. */
export const fusesBias = (tf: TF): boolean => has(tf, FusedKernel.convolution);

/** Whether the backend in use has keyedDropout. */
export const computesDropout = (tf: TF): boolean => has(tf, FusedKernel.dropout);

/** Attributes that the gradients need of a convolution; the kernels have more. */
interface Attrs extends tfjs.NamedAttrMap {
  readonly shape: number[];
  readonly relu: boolean;
}

const registered = new WeakSet<object>();

/** Registers the gradients of the fused convolution and of dropout once. */
function registerGradients(tf: TF): void {
  if (registered.has(tf.engine())) return;
  registered.add(tf.engine());
  tf.registerGradient({
    kernelName: FusedKernel.convolution,
    inputsToSave: ['x', 'filter'],
    outputsToSave: [true],
    gradFunc: (gradient, saved, attributes) => {
      const dy = gradient as tfjs.Tensor;
      const [x, filter, y] = saved as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor];
      const attrs = attributes as Attrs;
      // One kernel computes both; the tape asks for the filter's before the bias'.
      let bias: tfjs.Tensor | null = null;
      return {
        x: () =>
          tf
            .engine()
            .runKernel<tfjs.Tensor>(FusedKernel.gradInput, { dy, y, filter }, { ...attrs, shape: x.shape }),
        filter: () => {
          const both = tf
            .engine()
            .runKernel<[tfjs.Tensor, tfjs.Tensor]>(
              FusedKernel.gradFilter,
              { dy, y, x },
              { ...attrs, filterShape: filter.shape },
            );
          bias = tf.keep(both[1]);
          return both[0];
        },
        bias: () => {
          if (bias === null)
            throw new Error('The gradient of a bias was asked for before that of its filter.');
          const own = bias.clone();
          bias.dispose();
          return own;
        },
      };
    },
  });
  tf.registerGradient({
    kernelName: FusedKernel.dropout,
    inputsToSave: ['keys'],
    gradFunc: (gradient, saved, attributes) => ({
      x: () =>
        tf
          .engine()
          .runKernel<tfjs.Tensor>(
            FusedKernel.dropout,
            { x: gradient as tfjs.Tensor, keys: saved[0] as tfjs.Tensor },
            attributes,
          ),
    }),
  });
}

/** Settings of a convolution of images. */
export interface Convolution2d {
  readonly strides: readonly [number, number];
  readonly padding: 'valid' | 'same';
  readonly relu: boolean;
}

/**
 * Convolution plus bias, then ReLU if asked for, as one op.
 * @param x [samples, height, width, channels]
 * @param filter [height, width, channels, filters]
 * @param bias [filters]
 * @returns [samples, height, width, filters]
 */
export function biasedConv2d(
  tf: TF,
  x: tfjs.Tensor,
  filter: tfjs.Tensor,
  bias: tfjs.Tensor,
  { strides, padding, relu }: Convolution2d,
): tfjs.Tensor {
  registerGradients(tf);
  const info = tf.backend_util.computeConv2DInfo(
    x.shape as [number, number, number, number],
    filter.shape as [number, number, number, number],
    [...strides],
    1,
    padding,
  );
  return tf.engine().runKernel<tfjs.Tensor>(
    FusedKernel.convolution,
    { x, filter, bias },
    {
      input: [info.inHeight, info.inWidth, info.inChannels],
      output: [info.outHeight, info.outWidth, info.outChannels],
      filter: [info.filterHeight, info.filterWidth],
      strides: [...strides],
      padding: [info.padInfo.top, info.padInfo.left],
      shape: info.outShape,
      relu,
    },
  );
}

/**
 * Product with a matrix plus bias, then ReLU if asked for, as one op.
 * @param x [..., inputs]
 * @param kernel [inputs, outputs]
 * @param bias [outputs]
 * @returns [..., outputs]
 */
export function biasedProduct(
  tf: TF,
  x: tfjs.Tensor,
  kernel: tfjs.Tensor,
  bias: tfjs.Tensor,
  relu: boolean,
): tfjs.Tensor {
  registerGradients(tf);
  const [inputs = 0, outputs = 0] = kernel.shape;
  return tf.engine().runKernel<tfjs.Tensor>(
    FusedKernel.convolution,
    { x, filter: kernel, bias },
    {
      input: [1, 1, inputs],
      output: [1, 1, outputs],
      filter: [1, 1],
      strides: [1, 1],
      padding: [0, 0],
      shape: [...x.shape.slice(0, -1), outputs],
      relu,
    },
  );
}

/**
 * Gradient of the cross-entropy of softmax(logits): scale x (softmax(logits) - target), as one op.
 * @param logits and target: [..., classes]
 * @param scale of all rows, a scalar, or of each
 * @returns null if the backend lacks the kernel
 */
export function softmaxCrossEntropyGrad(
  tf: TF,
  logits: tfjs.Tensor,
  target: tfjs.Tensor,
  scale: tfjs.Tensor,
): tfjs.Tensor | null {
  if (!has(tf, FusedKernel.softmaxGrad)) return null;
  return tf.engine().runKernel<tfjs.Tensor>(FusedKernel.softmaxGrad, { logits, target, scale });
}

/**
 * Dropout as one op: x times the mask that fillDropoutMask() describes, which the kernel computes, in both passes.
 * @param x [samples x any number, ...]
 * @param keys as sampleKeys() computes them: [samples, 2] of int32
 */
export function keyedDropout(
  tf: TF,
  x: tfjs.Tensor,
  keys: tfjs.Tensor,
  layer: number,
  rate: number,
): tfjs.Tensor {
  registerGradients(tf);
  return tf.engine().runKernel<tfjs.Tensor>(FusedKernel.dropout, { x, keys }, { layer, rate });
}
