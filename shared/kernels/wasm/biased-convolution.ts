import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import { callKernel, kernelFunc, pointerOf, withScratch } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';
import type { TF } from '../../util/tf.ts';
import { RELU_GRAD, type ConvolutionAttrs } from '../fused-ops.ts';
import type { ConvolutionInfo } from './conv-info.ts';
import type { SimdKernels } from './simd.ts';
import { forwardSizes, winogradForward, type Epilogue } from './winograd.ts';

// Convolution with bias and ReLU, and its gradients, in as few passes over the images as possible. A product with a dense
// layer's kernel is the convolution of images of one pixel.

type Simd = (backend: WasmBackend) => SimdKernels | null;

/** Most values under a filter for the kernels that lay them out as a matrix: where Winograd's tiles are the other way, and elsewhere. */
const MAX_TAPS = { winograd: 64, other: 320 };

interface ForwardInputs {
  readonly x: TensorInfo;
  readonly filter: TensorInfo;
  readonly bias: TensorInfo;
}

/** Sizes of a convolution. @param batchSize of the images */
export function infoOf(
  { input, output, filter, strides, padding }: ConvolutionAttrs,
  batchSize: number,
): ConvolutionInfo {
  return {
    batchSize,
    dataFormat: 'channelsLast',
    dilationHeight: 1,
    dilationWidth: 1,
    inHeight: input[0],
    inWidth: input[1],
    inChannels: input[2],
    inShape: [batchSize, ...input],
    outHeight: output[0],
    outWidth: output[1],
    outChannels: output[2],
    outShape: [batchSize, ...output],
    filterHeight: filter[0],
    filterWidth: filter[1],
    filterShape: [...filter, input[2], output[2]],
    strideHeight: strides[0],
    strideWidth: strides[1],
    padInfo: { top: padding[0], left: padding[1] },
  };
}

/** Whether a convolution is the product with a matrix. */
const isProduct = ({ input, filter }: ConvolutionAttrs): boolean =>
  [input[0], input[1], ...filter].every((length) => length === 1);

/** Attributes of tfjs' convolution kernels, with all four paddings as numbers. */
function stockAttrs(info: ConvolutionInfo): object {
  const { top, left } = info.padInfo;
  const bottom = (info.outHeight - 1) * info.strideHeight + info.filterHeight - info.inHeight - top;
  const right = (info.outWidth - 1) * info.strideWidth + info.filterWidth - info.inWidth - left;
  return {
    strides: [info.strideHeight, info.strideWidth],
    pad: [
      [0, 0],
      [top, Math.max(0, bottom)],
      [left, Math.max(0, right)],
      [0, 0],
    ],
    dilations: [1, 1],
    dataFormat: 'NHWC',
  };
}

/** Whether the values under a filter are few enough for a matrix of them. */
function hasFewTaps(info: ConvolutionInfo): boolean {
  const { filterHeight, filterWidth, inChannels } = info;
  const most = forwardSizes(info) === null ? MAX_TAPS.other : MAX_TAPS.winograd;
  return filterHeight * filterWidth * inChannels <= most;
}

const productShapes = ({ input, output }: ConvolutionAttrs, rows: number) => ({
  x: [rows, input[2]],
  y: [rows, output[2]],
});

/** BiasedConvolution: output of x [samples, height, width, channels], filter [..., channels, filters] and bias [filters]. */
export function biasedConvolution(tf: TF, simd: Simd): KernelFunc {
  return kernelFunc<ForwardInputs, ConvolutionAttrs>(({ inputs, attrs, backend }) => {
    const { x, filter, bias } = inputs;
    const kernels = simd(backend);
    const filters = attrs.output[2];
    if (isProduct(attrs)) {
      const rows = sizeOf(x.shape) / attrs.input[2];
      const operands = { a: { ...x, shape: productShapes(attrs, rows).x }, b: filter };
      const product = callKernel(tf, 'BatchMatMul', backend, operands, {
        transposeA: false,
        transposeB: false,
      });
      return finish(tf, kernels, backend, { ...product, shape: [...attrs.shape] }, bias, attrs.relu);
    }
    const info = infoOf(attrs, x.shape[0] ?? 0);
    if (kernels !== null && sizeOf(info.outShape) > 0) {
      const epilogue: Epilogue = { bias: pointerOf(backend, bias), relu: attrs.relu };
      const out =
        winogradForward(kernels, backend, x, filter, info, epilogue) ??
        (hasFewTaps(info) ? patchForward(kernels, backend, x, filter, info, epilogue) : null);
      if (out !== null) return out;
    }
    const product = callKernel(tf, 'Conv2D', backend, { x, filter }, stockAttrs(info));
    if (product.shape.at(-1) !== filters) throw new Error(`The convolution has no ${filters} filters.`);
    return finish(tf, kernels, backend, product, bias, attrs.relu);
  });
}

const patchImageBytes = (simd: SimdKernels, info: ConvolutionInfo): number =>
  simd.patchImageBytes(
    info.inChannels,
    info.filterHeight,
    info.filterWidth,
    info.strideHeight,
    info.strideWidth,
    info.outHeight,
    info.outWidth,
  );

function patchForward(
  simd: SimdKernels,
  backend: WasmBackend,
  x: TensorInfo,
  filter: TensorInfo,
  info: ConvolutionInfo,
  { bias, relu }: Epilogue,
): TensorInfo {
  const { filterHeight, filterWidth, inChannels, outChannels, outHeight, outWidth } = info;
  const taps = filterHeight * filterWidth * inChannels;
  const bytes = simd.patchConvScratchBytes(taps, outChannels, outWidth) + patchImageBytes(simd, info);
  return withScratch(backend, bytes, (scratch) => {
    const out = backend.makeOutput([...info.outShape], 'float32');
    simd.patchConv(
      pointerOf(backend, x),
      pointerOf(backend, filter),
      bias,
      relu,
      pointerOf(backend, out),
      info.batchSize,
      info.inHeight,
      info.inWidth,
      inChannels,
      filterHeight,
      filterWidth,
      outChannels,
      info.strideHeight,
      info.strideWidth,
      outHeight,
      outWidth,
      info.padInfo.top,
      info.padInfo.left,
      scratch,
    );
    return out;
  });
}

/** Adds the bias and applies ReLU, in place where there is SIMD. @param product disposed if the result is another tensor */
function finish(
  tf: TF,
  simd: SimdKernels | null,
  backend: WasmBackend,
  product: TensorInfo,
  bias: TensorInfo,
  relu: boolean,
): TensorInfo {
  const filters = sizeOf(bias.shape);
  if (simd !== null) {
    const rows = sizeOf(product.shape) / filters;
    simd.addBias(pointerOf(backend, product), pointerOf(backend, bias), rows, filters, relu);
    return product;
  }
  const biased = callKernel(tf, 'Add', backend, { a: product, b: bias });
  backend.disposeData(product.dataId);
  if (!relu) return biased;
  const activated = callKernel(tf, 'Relu', backend, { x: biased });
  backend.disposeData(biased.dataId);
  return activated;
}

interface GradInputs {
  /** Gradient of the output, and the output itself. */
  readonly dy: TensorInfo;
  readonly y: TensorInfo;
}

/** Runs `use` with the gradient before the ReLU. */
function withSlope<T>(
  tf: TF,
  backend: WasmBackend,
  { dy, y }: GradInputs,
  relu: boolean,
  use: (slope: TensorInfo) => T,
): T {
  if (!relu) return use(dy);
  const slope = callKernel(tf, RELU_GRAD, backend, { dy, x: y });
  try {
    return use(slope);
  } finally {
    backend.disposeData(slope.dataId);
  }
}

/** BiasedConvolutionGradInput: gradient of the input from that of the output. */
export function biasedConvolutionGradInput(tf: TF): KernelFunc {
  return kernelFunc<GradInputs & { readonly filter: TensorInfo }, ConvolutionAttrs>(
    ({ inputs, attrs, backend }) =>
      withSlope(tf, backend, inputs, attrs.relu, (dy) => {
        const { filter } = inputs;
        if (isProduct(attrs)) {
          const rows = sizeOf(dy.shape) / attrs.output[2];
          const operands = { a: { ...dy, shape: productShapes(attrs, rows).y }, b: filter };
          const dx = callKernel(tf, 'BatchMatMul', backend, operands, {
            transposeA: false,
            transposeB: true,
          });
          return { ...dx, shape: [...attrs.shape] };
        }
        const info = infoOf(attrs, attrs.shape[0] ?? 0);
        const how = { ...stockAttrs(info), inputShape: [...attrs.shape] };
        return callKernel(tf, 'Conv2DBackpropInput', backend, { dy, filter }, how);
      }),
  );
}

/** BiasedConvolutionGradFilter: gradients of the filter and of the bias from that of the output. */
export function biasedConvolutionGradFilter(tf: TF, simd: Simd): KernelFunc {
  return kernelFunc<
    GradInputs & { readonly x: TensorInfo },
    ConvolutionAttrs & { readonly filterShape: number[] }
  >(({ inputs, attrs, backend }) => {
    const { x } = inputs;
    const kernels = simd(backend);
    const info = infoOf(attrs, x.shape[0] ?? 0);
    const isSmall = !isProduct(attrs) && hasFewTaps(info) && sizeOf(info.outShape) > 0;
    if (kernels !== null && isSmall) return patchGradients(kernels, backend, inputs, info, attrs.relu);
    return withSlope(tf, backend, inputs, attrs.relu, (dy) => {
      const rows = sizeOf(dy.shape) / attrs.output[2];
      const shapes = productShapes(attrs, rows);
      const gradient = isProduct(attrs)
        ? callKernel(
            tf,
            'BatchMatMul',
            backend,
            { a: { ...x, shape: shapes.x }, b: { ...dy, shape: shapes.y } },
            { transposeA: true, transposeB: false },
          )
        : callKernel(
            tf,
            'Conv2DBackpropFilter',
            backend,
            { x, dy },
            { ...stockAttrs(info), filterShape: attrs.filterShape },
          );
      const bias = callKernel(
        tf,
        'Sum',
        backend,
        { x: { ...dy, shape: shapes.y } },
        { axis: [0], keepDims: false },
      );
      return [{ ...gradient, shape: [...attrs.filterShape] }, bias];
    });
  });
}

function patchGradients(
  simd: SimdKernels,
  backend: WasmBackend,
  { x, dy, y }: GradInputs & { readonly x: TensorInfo },
  info: ConvolutionInfo,
  relu: boolean,
): TensorInfo[] {
  const { filterHeight, filterWidth, inChannels, outChannels, outHeight, outWidth } = info;
  const taps = filterHeight * filterWidth * inChannels;
  const bytes =
    simd.patchFilterGradientScratchBytes(taps, outChannels, outWidth) + patchImageBytes(simd, info);
  return withScratch(backend, bytes, (scratch) => {
    const filter = backend.makeOutput([...info.filterShape], 'float32');
    const bias = backend.makeOutput([outChannels], 'float32');
    simd.patchFilterGradient(
      pointerOf(backend, x),
      pointerOf(backend, dy),
      relu ? pointerOf(backend, y) : 0,
      pointerOf(backend, filter),
      pointerOf(backend, bias),
      info.batchSize,
      info.inHeight,
      info.inWidth,
      inChannels,
      filterHeight,
      filterWidth,
      outChannels,
      info.strideHeight,
      info.strideWidth,
      outHeight,
      outWidth,
      info.padInfo.top,
      info.padInfo.left,
      scratch,
    );
    return [filter, bias];
  });
}
