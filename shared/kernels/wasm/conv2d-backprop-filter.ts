import type { backend_util } from '@tensorflow/tfjs';
import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { callKernel, chain, kernelFunc, pointerOf, withScratch, zeros } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';
import type { ConvGradientAttrs } from './conv-info.ts';
import { convInfoOf, toChannelsLast } from './conv-info.ts';
import type { SimdKernels } from './simd.ts';
import { winogradFilterGradient } from './winograd.ts';

interface Inputs {
  readonly x: TensorInfo;
  readonly dy: TensorInfo;
}

interface Attrs extends ConvGradientAttrs {
  readonly filterShape: number[];
}

/**
 * Conv2DBackpropFilter: x [batch, height, width, channels] and the output's gradient dy [batch, outHeight, outWidth,
 * filters] to the gradient of the filter [filterHeight, filterWidth, channels, filters]. tfjs' wasm backend lacks this kernel.
 */
export function conv2dBackpropFilter(tf: TF, simd: (backend: WasmBackend) => SimdKernels | null): KernelFunc {
  return kernelFunc<Inputs, Attrs>(({ inputs, attrs, backend }) => {
    if (sizeOf(inputs.dy.shape) === 0) return zeros(backend, attrs.filterShape);
    if (attrs.dataFormat === 'NCHW') {
      const perm = { perm: toChannelsLast };
      const x = callKernel(tf, 'Transpose', backend, { x: inputs.x }, perm);
      const dy = callKernel(tf, 'Transpose', backend, { x: inputs.dy }, perm);
      const result = filterGradient(tf, simd(backend), backend, { x, dy }, attrs);
      backend.disposeData(x.dataId);
      backend.disposeData(dy.dataId);
      return result;
    }
    return filterGradient(tf, simd(backend), backend, inputs, attrs);
  });
}

function filterGradient(
  tf: TF,
  simd: SimdKernels | null,
  backend: WasmBackend,
  { x, dy }: Inputs,
  attrs: Attrs,
): TensorInfo {
  const info = convInfoOf(tf, x.shape, attrs.filterShape, attrs);
  if (simd === null) return composed(tf, backend, x, dy, info);
  return winogradFilterGradient(simd, backend, x, dy, info) ?? direct(simd, backend, x, dy, info);
}

function direct(
  simd: SimdKernels,
  backend: WasmBackend,
  x: TensorInfo,
  dy: TensorInfo,
  info: backend_util.Conv2DInfo,
): TensorInfo {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, outHeight, outWidth } = info;
  const { filterHeight, filterWidth, strideHeight, strideWidth } = info;
  const { top, left } = info.padInfo;
  const out = backend.makeOutput([...info.filterShape], 'float32');
  const coveredHeight = (outHeight - 1) * strideHeight + filterHeight;
  const coveredWidth = (outWidth - 1) * strideWidth + filterWidth;
  const fits = top === 0 && left === 0 && coveredHeight <= inHeight && coveredWidth <= inWidth;
  // The kernel reads rows of the filter in multiples of 4 values, which could go past the last image.
  const needsPadding = !fits || (filterWidth * inChannels) % 4 !== 0;
  const paddedHeight = needsPadding ? coveredHeight : inHeight;
  const paddedWidth = needsPadding ? coveredWidth : inWidth;
  const bytes = simd.convFilterGradientScratchBytes(
    inChannels,
    filterHeight,
    filterWidth,
    outChannels,
    outHeight,
    outWidth,
    needsPadding,
    paddedHeight,
    paddedWidth,
  );
  withScratch(backend, bytes, (scratch) =>
    simd.convFilterGradient(
      pointerOf(backend, x),
      pointerOf(backend, dy),
      pointerOf(backend, out),
      batchSize,
      inHeight,
      inWidth,
      inChannels,
      filterHeight,
      filterWidth,
      outChannels,
      strideHeight,
      strideWidth,
      outHeight,
      outWidth,
      needsPadding,
      paddedHeight,
      paddedWidth,
      top,
      left,
      scratch,
    ),
  );
  return out;
}

/**
 * Gradient without SIMD: a convolution of x by dy with the batch as the channel axis and the strides as dilations. Outputs
 * beyond the filter's size (from rows that no window reached) are cut off.
 */
function composed(
  tf: TF,
  backend: WasmBackend,
  x: TensorInfo,
  dy: TensorInfo,
  info: backend_util.Conv2DInfo,
): TensorInfo {
  const { filterHeight, filterWidth, inChannels, outChannels, strideHeight, strideWidth, padInfo } = info;
  const swapped = callKernel(tf, 'Transpose', backend, { x }, { perm: [3, 1, 2, 0] });
  const filter = callKernel(tf, 'Transpose', backend, { x: dy }, { perm: [1, 2, 0, 3] });
  const { top, left } = padInfo;
  const bottom = Math.max(0, (info.outHeight - 1) * strideHeight + filterHeight - info.inHeight - top);
  const right = Math.max(0, (info.outWidth - 1) * strideWidth + filterWidth - info.inWidth - left);
  const pad = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  const attrs = { strides: [1, 1], pad, dilations: [strideHeight, strideWidth], dataFormat: 'NHWC' };
  const conv = callKernel(tf, 'Conv2D', backend, { x: swapped, filter }, attrs);
  backend.disposeData(swapped.dataId);
  backend.disposeData(filter.dataId);
  const size = [inChannels, filterHeight, filterWidth, outChannels];
  const result = chain(
    tf,
    backend,
    conv,
    ['Slice', 'x', { begin: [0, 0, 0, 0], size }],
    ['Transpose', 'x', { perm: [1, 2, 0, 3] }],
  );
  backend.disposeData(conv.dataId);
  return result;
}
