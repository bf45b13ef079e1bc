import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../util/tf.ts';

// Ops that a backend computes in one kernel where tfjs has several, with gradients. A backend has them if their kernels are
// registered for it.

/** Name of TensorFlow's kernel, which tfjs lacks: dy where x > 0, else 0. */
export const RELU_GRAD = 'ReluGrad';

/** Names of the kernels. */
export const FusedKernel = {
  /** Convolution or product with a matrix, plus bias, then ReLU. */
  convolution: 'BiasedConvolution',
  gradInput: 'BiasedConvolutionGradInput',
  gradFilter: 'BiasedConvolutionGradFilter',
  /** Convolution of 3 x 3 taps plus bias, then ReLU, then a max-pool of 2 x 2. */
  pooled: 'PooledConvolution',
  pooledGradInput: 'PooledConvolutionGradInput',
  pooledGradFilter: 'PooledConvolutionGradFilter',
  softmaxGrad: 'SoftmaxCrossEntropyGrad',
  /** Product with a dropout mask that the kernel computes. */
  dropout: 'KeyedDropout',
} as const;

const has = (tf: TF, name: string): boolean =>
  (tf.getKernel(name, tf.getBackend()) as tfjs.KernelConfig | undefined) !== undefined;

/** Whether the backend in use has biasedConv2d and biasedProduct. */
export const fusesBias = (tf: TF): boolean => has(tf, FusedKernel.convolution);

/** Whether the backend in use has pooledConv2d. */
export const fusesPool = (tf: TF): boolean => has(tf, FusedKernel.pooled);

/** Whether the backend in use has keyedDropout. */
export const computesDropout = (tf: TF): boolean => has(tf, FusedKernel.dropout);

/** Attributes of the kernels of convolutions. */
export interface ConvolutionAttrs extends tfjs.NamedAttrMap {
  /** Height, width and channels of the input. */
  readonly input: [number, number, number];
  /** Height, width and channels of the output. */
  readonly output: [number, number, number];
  /** Height and width of the filter. */
  readonly filter: [number, number];
  readonly strides: [number, number];
  /** Zeros before the first row and column. */
  readonly padding: [number, number];
  /** Shape of the output of the kernel that computes the output, or of the one that computes the input's gradient. */
  readonly shape: number[];
  /** Whether negative outputs are 0. */
  readonly relu: boolean;
}

const registered = new WeakSet<object>();

/**
 * Keeps a tensor that one gradient of an op computes for the next one. The tape does not ask for the gradients of frozen weights, so what
 * is left is disposed when the pass, which is synchronous, has ended.
 */
function keepForPass(tf: TF, tensor: tfjs.Tensor): tfjs.Tensor {
  void Promise.resolve().then(() => tensor.dispose());
  return tf.keep(tensor);
}

/** Gradient of a bias that was kept with that of its filter, for the tape. @throws Error if it was asked for before */
function taken(bias: tfjs.Tensor | null): tfjs.Tensor {
  if (bias === null) throw new Error('The gradient of a bias was asked for before that of its filter.');
  const own = bias.clone();
  bias.dispose();
  return own;
}

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
      const attrs = attributes as ConvolutionAttrs;
      // The tape asks for the input's gradient first, if at all, then for the filter's, then for the bias'. Where the backend has
      // a kernel for it, the gradient before the ReLU is computed once for both of the first two.
      let slope: tfjs.Tensor | null = null;
      // One kernel computes both; the tape asks for the filter's before the bias'.
      let bias: tfjs.Tensor | null = null;
      const given = (): { dy: tfjs.Tensor; relu: boolean } =>
        slope === null ? { dy, relu: attrs.relu } : { dy: slope, relu: false };
      return {
        x: () => {
          if (attrs.relu && has(tf, RELU_GRAD))
            slope = keepForPass(tf, tf.engine().runKernel<tfjs.Tensor>(RELU_GRAD, { dy, x: y }));
          const { dy: gradient, relu } = given();
          return tf
            .engine()
            .runKernel<tfjs.Tensor>(
              FusedKernel.gradInput,
              { dy: gradient, y, filter },
              { ...attrs, relu, shape: x.shape },
            );
        },
        filter: () => {
          const { dy: gradient, relu } = given();
          const both = tf
            .engine()
            .runKernel<[tfjs.Tensor, tfjs.Tensor]>(
              FusedKernel.gradFilter,
              { dy: gradient, y, x },
              { ...attrs, relu, filterShape: filter.shape },
            );
          slope?.dispose();
          bias = keepForPass(tf, both[1]);
          return both[0];
        },
        bias: () => taken(bias),
      };
    },
  });
  tf.registerGradient({
    kernelName: FusedKernel.pooled,
    inputsToSave: ['x', 'filter'],
    outputsToSave: [false, true],
    gradFunc: (gradients, saved, attributes) => {
      const [dy] = gradients as tfjs.Tensor[] as [tfjs.Tensor];
      const [x, filter, winners] = saved as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor];
      let bias: tfjs.Tensor | null = null;
      return {
        x: () =>
          tf
            .engine()
            .runKernel<tfjs.Tensor>(FusedKernel.pooledGradInput, { dy, winners, filter }, attributes),
        filter: () => {
          const both = tf
            .engine()
            .runKernel<[tfjs.Tensor, tfjs.Tensor]>(
              FusedKernel.pooledGradFilter,
              { dy, winners, x },
              attributes,
            );
          bias = keepForPass(tf, both[1]);
          return both[0];
        },
        bias: () => taken(bias),
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
  how: Convolution2d,
): tfjs.Tensor {
  registerGradients(tf);
  const attrs = convolutionAttrs(tf, x, filter.shape, how);
  const inputs = { x: floats(tf, x), filter, bias };
  return tf.engine().runKernel<tfjs.Tensor>(FusedKernel.convolution, inputs, attrs);
}

/** Input as float32: custom layers also return integers. */
const floats = (tf: TF, x: tfjs.Tensor): tfjs.Tensor => (x.dtype === 'float32' ? x : tf.cast(x, 'float32'));

function convolutionAttrs(
  tf: TF,
  x: tfjs.Tensor,
  filterShape: readonly number[],
  { strides, padding, relu }: Convolution2d,
): ConvolutionAttrs {
  const info = tf.backend_util.computeConv2DInfo(
    x.shape as [number, number, number, number],
    filterShape as [number, number, number, number],
    [...strides],
    1,
    padding,
  );
  return {
    input: [info.inHeight, info.inWidth, info.inChannels],
    output: [info.outHeight, info.outWidth, info.outChannels],
    filter: [info.filterHeight, info.filterWidth],
    strides: [...strides],
    padding: [info.padInfo.top, info.padInfo.left],
    shape: info.outShape,
    relu,
  };
}

/** Smallest side of an image that pooledConv2d computes. */
const MIN_POOLED_SIDE = 4;

/**
 * Whether the backend in use has pooledConv2d for these sizes.
 * @param filterShape [height, width, channels, filters]
 */
export function supportsPooledConv2d(
  tf: TF,
  x: tfjs.Tensor,
  filterShape: readonly number[],
  how: Convolution2d,
): boolean {
  const [filterHeight, filterWidth, channels = 0, filters = 0] = filterShape;
  // A filter of one group has fewer channels than the images.
  if (!fusesPool(tf) || channels !== x.shape[3]) return false;
  const [height, width] = convolutionAttrs(tf, x, filterShape, how).output;
  return (
    filterHeight === 3 &&
    filterWidth === 3 &&
    how.strides.every((stride) => stride === 1) &&
    channels % 4 === 0 &&
    filters % 4 === 0 &&
    height >= MIN_POOLED_SIDE &&
    width >= MIN_POOLED_SIDE
  );
}

/**
 * Convolution of 3 x 3 taps with stride 1 plus bias, then ReLU if asked for, then a max-pool of 2 x 2 with stride 2, as one op.
 * As in biasedConv2d; rows and columns left over by the pool are dropped. Only where supportsPooledConv2d().
 * @returns [samples, outHeight / 2, outWidth / 2, filters]
 */
export function pooledConv2d(
  tf: TF,
  x: tfjs.Tensor,
  filter: tfjs.Tensor,
  bias: tfjs.Tensor,
  how: Convolution2d,
): tfjs.Tensor {
  registerGradients(tf);
  const attrs = convolutionAttrs(tf, x, filter.shape, how);
  const [pooled, winners] = tf
    .engine()
    .runKernel<[tfjs.Tensor, tfjs.Tensor]>(FusedKernel.pooled, { x: floats(tf, x), filter, bias }, attrs);
  winners.dispose();
  return pooled;
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
    { x: floats(tf, x), filter: kernel, bias },
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
