import type { backend_util } from '@tensorflow/tfjs';
import type { KernelFunc, TensorInfo, WasmBackend } from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { callKernel, floatsOf, kernelFunc, pointerOf, withScratch, zeros } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';
import type { ConvGradientAttrs } from './conv-info.ts';
import { convInfoOf } from './conv-info.ts';
import type { SimdKernels } from './simd.ts';
import { winogradInputGradient } from './winograd.ts';

interface Inputs {
  readonly dy: TensorInfo;
  readonly filter: TensorInfo;
}

interface Attrs extends ConvGradientAttrs {
  readonly inputShape: number[];
}

/**
 * Conv2DBackpropInput: the output's gradient dy [batch, outHeight, outWidth, filters] and the filter [filterHeight,
 * filterWidth, channels, filters] to the gradient of the input [batch, height, width, channels]. tfjs' own kernel computes NCHW,
 * and strides without SIMD.
 */
export function conv2dBackpropInput(
  tf: TF,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  return kernelFunc<Inputs, Attrs>((call) => {
    const { inputs, attrs, backend } = call;
    const fallBack = () => stock(call as unknown as Parameters<KernelFunc>[0]);
    if (sizeOf(inputs.dy.shape) === 0) return zeros(backend, attrs.inputShape);
    if (attrs.dataFormat === 'NCHW') return fallBack();
    const info = convInfoOf(tf, attrs.inputShape, inputs.filter.shape, attrs);
    const kernels = simd(backend);
    if (kernels !== null) {
      const { dy, filter } = inputs;
      return (
        winogradInputGradient(kernels, backend, dy, filter, info) ?? direct(kernels, backend, inputs, info)
      );
    }
    const { top, left } = info.padInfo;
    const coverable =
      info.strideHeight === 1 &&
      info.strideWidth === 1 &&
      top < info.filterHeight &&
      left < info.filterWidth &&
      info.padInfo.bottom < info.filterHeight &&
      info.padInfo.right < info.filterWidth;
    return coverable ? composed(tf, backend, inputs, info) : fallBack();
  });
}

/** Most values of the patches that are computed at once: two megabytes. */
const MAX_PATCH_VALUES = 2 ** 19;

/**
 * Gradient for any strides: the product of dy and the filter is the gradient of each output's patch of the input; the patches
 * are added where they lie.
 */
function direct(
  simd: SimdKernels,
  backend: WasmBackend,
  { dy, filter }: Inputs,
  info: backend_util.Conv2DInfo,
): TensorInfo {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, outHeight, outWidth } = info;
  const { filterHeight, filterWidth, strideHeight, strideWidth } = info;
  const taps = filterHeight * filterWidth * inChannels;
  // Whole images, or rows of one.
  const images = Math.max(1, Math.floor(MAX_PATCH_VALUES / (outHeight * outWidth * taps)));
  const rows = images > 1 ? outHeight : Math.max(1, Math.floor(MAX_PATCH_VALUES / (outWidth * taps)));
  const outputs = Math.min(images, batchSize) * Math.min(rows, outHeight) * outWidth;
  const bytes = 4 * outputs * taps + simd.gemmScratchBytes(outputs, taps, outChannels);
  return withScratch(backend, bytes, (patches) => {
    const out = backend.makeOutput([...info.inShape], 'float32');
    floatsOf(backend, out).fill(0);
    const scratch = patches + 4 * outputs * taps;
    for (let first = 0; first < batchSize; first += images) {
      const count = Math.min(images, batchSize - first);
      const to = pointerOf(backend, out) + 4 * first * inHeight * inWidth * inChannels;
      for (let row = 0; row < outHeight; row += rows) {
        const high = Math.min(rows, outHeight - row);
        const from = pointerOf(backend, dy) + 4 * (first * outHeight + row) * outWidth * outChannels;
        const m = count * high * outWidth;
        simd.gemm(from, pointerOf(backend, filter), patches, m, taps, outChannels, false, true, scratch);
        simd.addPatches(
          patches,
          to,
          count,
          inHeight,
          inWidth,
          inChannels,
          filterHeight,
          filterWidth,
          strideHeight,
          strideWidth,
          high,
          outWidth,
          info.padInfo.top - row * strideHeight,
          info.padInfo.left,
        );
      }
    }
    return out;
  });
}

/** Gradient without SIMD for strides of 1: tfjs' Conv2D of dy by the rotated filter. */
function composed(
  tf: TF,
  backend: WasmBackend,
  { dy, filter }: Inputs,
  info: backend_util.Conv2DInfo,
): TensorInfo {
  const { filterHeight, filterWidth, padInfo } = info;
  const reversed = callKernel(tf, 'Reverse', backend, { x: filter }, { dims: [0, 1] });
  const rotated = callKernel(tf, 'Transpose', backend, { x: reversed }, { perm: [0, 1, 3, 2] });
  backend.disposeData(reversed.dataId);
  const pad = [
    [0, 0],
    [filterHeight - 1 - padInfo.top, filterHeight - 1 - padInfo.bottom],
    [filterWidth - 1 - padInfo.left, filterWidth - 1 - padInfo.right],
    [0, 0],
  ];
  const attrs = { strides: [1, 1], pad, dilations: [1, 1], dataFormat: 'NHWC' };
  const out = callKernel(tf, 'Conv2D', backend, { x: dy, filter: rotated }, attrs);
  backend.disposeData(rotated.dataId);
  return out;
}
