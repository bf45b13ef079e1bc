import type { backend_util } from '@tensorflow/tfjs';
import type { TensorInfo, WasmBackend } from './backend.ts';
import { pointerOf, withScratch } from './backend.ts';
import type { SimdKernels } from './simd.ts';

/** Smallest side of an image that is worth it: a tile yields 2 x 2 outputs, and much of it would lie beyond the edge. */
const MIN_SIDE = 4;

/** Whether Winograd's algorithm supports a convolution's taps and strides, and its images are large enough. */
function isSuitable(info: backend_util.Conv2DInfo, height: number, width: number): boolean {
  return (
    info.dataFormat === 'channelsLast' &&
    info.filterHeight === 3 &&
    info.filterWidth === 3 &&
    info.strideHeight === 1 &&
    info.strideWidth === 1 &&
    info.dilationHeight === 1 &&
    info.dilationWidth === 1 &&
    height >= MIN_SIDE &&
    width >= MIN_SIDE
  );
}

/** Convolution of x by the filter in 16/36 of the products, or null if Winograd's algorithm does not apply. */
export function winogradForward(
  simd: SimdKernels,
  backend: WasmBackend,
  x: TensorInfo,
  filter: TensorInfo,
  info: backend_util.Conv2DInfo,
): TensorInfo | null {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, outHeight, outWidth) || inChannels % 4 !== 0) return null;
  const out = backend.makeOutput([...info.outShape], 'float32');
  const packedBytes = simd.winogradFilterBytes(inChannels, outChannels);
  const bytes = packedBytes + simd.winogradScratchBytes(inChannels, outChannels, outHeight, outWidth);
  withScratch(backend, bytes, (packed) => {
    simd.winogradFilters(pointerOf(backend, filter), inChannels, outChannels, false, packed);
    simd.winogradConv(
      pointerOf(backend, x),
      packed,
      pointerOf(backend, out),
      batchSize,
      inHeight,
      inWidth,
      inChannels,
      outChannels,
      outHeight,
      outWidth,
      padInfo.top,
      padInfo.left,
      packed + packedBytes,
    );
  });
  return out;
}

/** Gradient of the input, or null if Winograd's algorithm does not apply. */
export function winogradInputGradient(
  simd: SimdKernels,
  backend: WasmBackend,
  dy: TensorInfo,
  filter: TensorInfo,
  info: backend_util.Conv2DInfo,
): TensorInfo | null {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, inHeight, inWidth) || outChannels % 4 !== 0) return null;
  const out = backend.makeOutput([...info.inShape], 'float32');
  const packedBytes = simd.winogradFilterBytes(outChannels, inChannels);
  const bytes = packedBytes + simd.winogradScratchBytes(outChannels, inChannels, inHeight, inWidth);
  withScratch(backend, bytes, (packed) => {
    simd.winogradFilters(pointerOf(backend, filter), inChannels, outChannels, true, packed);
    simd.winogradConv(
      pointerOf(backend, dy),
      packed,
      pointerOf(backend, out),
      batchSize,
      outHeight,
      outWidth,
      outChannels,
      inChannels,
      inHeight,
      inWidth,
      2 - padInfo.top,
      2 - padInfo.left,
      packed + packedBytes,
    );
  });
  return out;
}

/** Gradient of the filter, or null if Winograd's algorithm does not apply. */
export function winogradFilterGradient(
  simd: SimdKernels,
  backend: WasmBackend,
  x: TensorInfo,
  dy: TensorInfo,
  info: backend_util.Conv2DInfo,
): TensorInfo | null {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, outHeight, outWidth) || inChannels % 4 !== 0 || outChannels % 4 !== 0) return null;
  const out = backend.makeOutput([...info.filterShape], 'float32');
  const bytes = simd.winogradFilterGradientScratchBytes(inChannels, outChannels, outHeight, outWidth);
  withScratch(backend, bytes, (scratch) =>
    simd.winogradFilterGradient(
      pointerOf(backend, x),
      pointerOf(backend, dy),
      pointerOf(backend, out),
      batchSize,
      inHeight,
      inWidth,
      inChannels,
      outChannels,
      outHeight,
      outWidth,
      padInfo.top,
      padInfo.left,
      scratch,
    ),
  );
  return out;
}
