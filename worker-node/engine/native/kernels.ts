import type { KernelConfig, KernelFunc, Tensor } from '@tensorflow/tfjs';
import type { TF } from '../../../shared/util/tf.ts';
import type { NativeBackend, OpAttribute } from './backend.ts';

/** Replaces kernels of tfjs-node by faster ops of TensorFlow. */
export function replaceKernels(tf: TF, backend: NativeBackend): void {
  replaceKernel(tf, 'Add', (stock) => biasAdd(tf, backend, stock));
  replaceKernel(tf, 'BatchMatMul', (stock) => matMul(tf, backend, stock));
  replaceKernel(tf, 'Sum', (stock) => sum(tf, backend, stock));
  tf.registerKernel({
    kernelName: 'Transform',
    backendName: 'tensorflow',
    kernelFunc: transform(tf, backend),
  });
}

function replaceKernel(tf: TF, kernelName: string, make: (stock: KernelConfig) => KernelFunc): void {
  const stock = tf.getKernel(kernelName, 'tensorflow');
  tf.unregisterKernel(kernelName, 'tensorflow');
  tf.registerKernel({ ...stock, kernelFunc: make(stock) });
}

/** Kernel Transform, which tfjs-node lacks: moves the pixels of images. */
function transform(tf: TF, backend: NativeBackend): KernelFunc {
  return ({ inputs, attrs }) => {
    const { image, transforms } = inputs as unknown as { image: Tensor; transforms: Tensor };
    const { interpolation, fillMode, fillValue, outputShape } = attrs as unknown as {
      interpolation: string;
      fillMode: string;
      fillValue: number;
      outputShape?: [number, number] | null;
    };
    const type = backend.binding.TF_ATTR_STRING;
    const size = tf.tensor1d(outputShape ?? image.shape.slice(1, 3), 'int32');
    const fill = tf.scalar(fillValue);
    const moved = backend.executeSingleOutput(
      'ImageProjectiveTransformV3',
      [
        { ...floatType(backend), name: 'dtype' },
        { name: 'interpolation', type, value: interpolation.toUpperCase() },
        { name: 'fill_mode', type, value: fillMode.toUpperCase() },
      ],
      [image, transforms, size, fill],
    );
    tf.dispose([size, fill]);
    return moved;
  };
}

/** Kernel Add; for a bias with BiasAdd, which TensorFlow fuses with the ops before and after it. */
function biasAdd(tf: TF, backend: NativeBackend, stock: KernelConfig): KernelFunc {
  return (call) => {
    const { a, b } = call.inputs as unknown as { a: Tensor; b: Tensor };
    if (!isBias(a, b)) return stock.kernelFunc(call);
    if (b.shape.length === 1) return backend.executeSingleOutput('BiasAdd', biasAttributes(backend), [a, b]);
    const flat = tf.reshape(b, [-1]);
    const sum = backend.executeSingleOutput('BiasAdd', biasAttributes(backend), [a, flat]);
    flat.dispose();
    return sum;
  };
}

/** Kernel Sum; over all axes but the last, as for a bias, with BiasAddGrad. */
function sum(tf: TF, backend: NativeBackend, stock: KernelConfig): KernelFunc {
  return (call) => {
    const { x } = call.inputs as unknown as { x: Tensor };
    const { axis, keepDims } = call.attrs as { axis?: number | number[]; keepDims?: boolean };
    const axes = [axis ?? []].flat();
    const others = x.shape.slice(1).map((_, i) => i);
    if (x.dtype !== 'float32' || x.shape.length < 2 || keepDims === true || axes.join() !== others.join())
      return stock.kernelFunc(call);
    return sumOverChannels(tf, backend, x);
  };
}

/**
 * Kernel BatchMatMul; for one pair of matrices with MatMul, which takes a tenth less time and may be fused with a bias. With a
 * transposed second matrix MatMul takes longer, so it keeps the stock kernel.
 */
function matMul(tf: TF, backend: NativeBackend, stock: KernelConfig): KernelFunc {
  return (call) => {
    const { a, b } = call.inputs as unknown as { a: Tensor; b: Tensor };
    const { transposeA, transposeB } = call.attrs as { transposeA: boolean; transposeB: boolean };
    const batch = a.shape.slice(0, -2);
    if (transposeB || !isMatrix(a) || !isMatrix(b) || a.rank !== b.rank) return stock.kernelFunc(call);
    const type = backend.binding.TF_ATTR_BOOL;
    const attributes = [
      floatType(backend),
      { name: 'transpose_a', type, value: transposeA },
      { name: 'transpose_b', type, value: false },
    ];
    const matrices = [a, b].map((tensor) => tf.reshape(tensor, tensor.shape.slice(-2)));
    const product = backend.executeSingleOutput('MatMul', attributes, matrices);
    const result = tf.reshape(product, [...batch, ...product.shape]);
    tf.dispose([...matrices, product]);
    return result;
  };
}

const isMatrix = ({ shape, dtype }: Tensor): boolean =>
  dtype === 'float32' && shape.length >= 2 && shape.slice(0, -2).every((side) => side === 1);

/**
 * Sums [..., c] to [c]. The values are reshaped to rows, because a graph would fuse BiasAddGrad of dy itself into the gradient of
 * the convolution's filter, for which oneDNN takes much longer than for the two ops.
 */
export function sumOverChannels(tf: TF, backend: NativeBackend, values: Tensor): Tensor {
  const rows = tf.reshape(values, [-1, values.shape.at(-1) as number]);
  const sums = backend.executeSingleOutput('BiasAddGrad', biasAttributes(backend), [rows]);
  rows.dispose();
  return sums;
}

/** Whether b has one value for each channel of a: the shape [c], or [1, ..., 1, c] as tfjs-layers shapes a bias. */
export function isBias(a: Tensor, b: Tensor): boolean {
  const channels = a.shape.at(-1);
  return (
    a.dtype === 'float32' &&
    b.dtype === 'float32' &&
    a.shape.length >= 2 &&
    b.shape.length >= 1 &&
    b.shape.length <= a.shape.length &&
    b.shape.at(-1) === channels &&
    b.shape.slice(0, -1).every((side) => side === 1)
  );
}

export const floatType = ({ binding }: NativeBackend): OpAttribute => ({
  name: 'T',
  type: binding.TF_ATTR_TYPE,
  value: binding.TF_FLOAT,
});

const biasAttributes = (backend: NativeBackend): OpAttribute[] => [
  floatType(backend),
  { name: 'data_format', type: backend.binding.TF_ATTR_STRING, value: 'NHWC' },
];
