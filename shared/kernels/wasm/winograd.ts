import type { backend_util } from '@tensorflow/tfjs';
import type { TensorInfo, WasmBackend } from './backend.ts';
import { pointerOf, withScratch } from './backend.ts';
import type { SimdKernels } from './simd.ts';

// A tile yields 2 x 2 outputs: below this size too much of it would fall beyond the edge.
const MIN_SIDE = 4;

/** Whether a convolution's taps and strides suit Winograd's tiles, and its images are worth it. */
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

/** The convolution of x by the filter in 16/36 of the products, or null where it does not suit. */
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
      ...([pointerOf(backend, x), packed, pointerOf(backend, out)] as const),
      ...([batchSize, inHeight, inWidth, inChannels, outChannels] as const),
      ...([outHeight, outWidth, padInfo.top, padInfo.left] as const),
      packed + packedBytes,
    );
  });
  return out;
}

/** The gradient of the input, likewise. */
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
      ...([pointerOf(backend, dy), packed, pointerOf(backend, out)] as const),
      ...([batchSize, outHeight, outWidth, outChannels, inChannels] as const),
      ...([inHeight, inWidth, 2 - padInfo.top, 2 - padInfo.left] as const),
      packed + packedBytes,
    );
  });
  return out;
}

/** The gradient of the filter, likewise. */
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
      ...([pointerOf(backend, x), pointerOf(backend, dy), pointerOf(backend, out)] as const),
      ...([batchSize, inHeight, inWidth, inChannels, outChannels] as const),
      ...([outHeight, outWidth, padInfo.top, padInfo.left] as const),
      scratch,
    ),
  );
  return out;
}
