import type { GradConfig, Tensor } from '@tensorflow/tfjs';
import type { TF } from '../../../shared/util/tf.ts';
import type { NativeBackend } from './backend.ts';
import { floatType, isBias, replaceKernels, sumOverChannels } from './kernels.ts';

/** Activations whose gradient is one op of TensorFlow, with the inputs (dy, output) or (output, dy). */
const ACTIVATIONS = {
  Relu: { op: 'ReluGrad', outputFirst: false },
  Relu6: { op: 'Relu6Grad', outputFirst: false },
  Sigmoid: { op: 'SigmoidGrad', outputFirst: true },
  Tanh: { op: 'TanhGrad', outputFirst: true },
} as const;

const registered = new WeakSet<object>();

/**
 * Registers TensorFlow's own gradient ops, and faster kernels, in place of those that tfjs composes from smaller ops. Other
 * backends than 'tensorflow' and other types than float32 keep the stock gradients. These gradients are not differentiable.
 */
export function registerNativeGradients(tf: TF, backend: NativeBackend): void {
  if (registered.has(tf.engine())) return;
  registered.add(tf.engine());
  for (const [kernelName, { op, outputFirst }] of Object.entries(ACTIVATIONS)) {
    replaceGradient(tf, kernelName, (stock) => activationGradient(tf, backend, stock, op, outputFirst));
  }
  replaceGradient(tf, 'Add', (stock) => addGradient(tf, backend, stock));
  replaceGradient(tf, 'FusedBatchNorm', (stock) => batchNormGradient(tf, backend, stock));
  replaceKernels(tf, backend);
}

function replaceGradient(tf: TF, kernelName: string, make: (stock: GradConfig) => GradConfig): void {
  const stock = tf.getGradient(kernelName);
  tf.unregisterGradient(kernelName);
  tf.registerGradient(make(stock));
}

/**
 * Gradient of an activation that uses its output in place of its input: nothing else then needs the input, and TensorFlow fuses
 * convolution, bias and activation.
 */
function activationGradient(
  tf: TF,
  backend: NativeBackend,
  stock: GradConfig,
  op: string,
  outputFirst: boolean,
): GradConfig {
  const savesInput = stock.inputsToSave !== undefined;
  return {
    kernelName: stock.kernelName,
    // The tensors that the stock gradient saves come first; a later wrapper may pass only them.
    ...(savesInput ? { inputsToSave: ['x'] } : {}),
    outputsToSave: [true],
    gradFunc: (dy, saved, attributes) => {
      const last = saved.at(-1);
      if (!isNative(tf) || last?.dtype !== 'float32' || Array.isArray(dy)) {
        return stock.gradFunc(dy, saved.slice(0, 1), attributes);
      }
      const inputs = outputFirst ? [last, dy] : [dy, last];
      return { x: () => backend.executeSingleOutput(op, [floatType(backend)], inputs) };
    },
  };
}

/** Gradient of Add; for a bias with BiasAddGrad in place of Sum over all axes but the last. */
function addGradient(tf: TF, backend: NativeBackend, stock: GradConfig): GradConfig {
  return {
    ...stock,
    gradFunc: (dy, saved, attributes) => {
      const [a, b] = saved as [Tensor, Tensor];
      if (!isNative(tf) || Array.isArray(dy) || !isBias(a, b)) return stock.gradFunc(dy, saved, attributes);
      return {
        a: () => tf.clone(dy),
        b: () => tf.reshape(sumOverChannels(tf, backend, dy), b.shape),
      };
    },
  };
}

/**
 * Gradient of batch normalization from two sums over all axes but the channels', of dy and of dy (x - mean); tfjs computes a
 * product as large as x for each input, and two more of tiles. With r = 1 / sqrt(variance + epsilon):
 * dx = dy r scale, dmean = -r scale sum(dy), dvariance = -r^3 scale sum(dy (x - mean)) / 2.
 */
function batchNormGradient(tf: TF, backend: NativeBackend, stock: GradConfig): GradConfig {
  return {
    ...stock,
    gradFunc: (dy, saved, attributes) => {
      const [x, mean, variance, scale] = saved as [Tensor, Tensor, Tensor, Tensor];
      if (!isNative(tf) || Array.isArray(dy) || mean.shape.length !== 1 || x.dtype !== 'float32')
        return stock.gradFunc(dy, saved, attributes);
      const { varianceEpsilon } = attributes as { varianceEpsilon: number };
      const r = tf.rsqrt(tf.add(variance, varianceEpsilon));
      const slope = tf.mul(r, scale);
      const sum = sumOverChannels(tf, backend, dy);
      const moment = sumOverChannels(tf, backend, tf.mul(dy, tf.sub(x, mean)));
      return {
        x: () => tf.mul(dy, slope),
        mean: () => tf.neg(tf.mul(sum, slope)),
        variance: () => tf.mul(tf.mul(moment, slope), tf.mul(tf.square(r), -0.5)),
        scale: () => tf.mul(moment, r),
        offset: () => tf.clone(sum),
      };
    },
  };
}

const isNative = (tf: TF): boolean => tf.engine().backendName === 'tensorflow';
