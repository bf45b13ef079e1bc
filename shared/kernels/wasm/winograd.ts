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
  const { inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, outHeight, outWidth) || inChannels % 4 !== 0) return null;
  return convolve(simd, backend, x, filter, {
    from: { height: inHeight, width: inWidth, channels: inChannels },
    to: { height: outHeight, width: outWidth, channels: outChannels },
    outShape: info.outShape,
    top: padInfo.top,
    left: padInfo.left,
    turned: false,
  });
}

/** Gradient of the input, or null if Winograd's algorithm does not apply. */
export function winogradInputGradient(
  simd: SimdKernels,
  backend: WasmBackend,
  dy: TensorInfo,
  filter: TensorInfo,
  info: backend_util.Conv2DInfo,
): TensorInfo | null {
  const { inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, inHeight, inWidth) || outChannels % 4 !== 0) return null;
  return convolve(simd, backend, dy, filter, {
    from: { height: outHeight, width: outWidth, channels: outChannels },
    to: { height: inHeight, width: inWidth, channels: inChannels },
    outShape: info.inShape,
    top: 2 - padInfo.top,
    left: 2 - padInfo.left,
    turned: true,
  });
}

interface ImageSize {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

interface Convolution {
  readonly from: ImageSize;
  readonly to: ImageSize;
  /** [batch, height, width, channels] of `to`. */
  readonly outShape: readonly [number, number, number, number];
  readonly top: number;
  readonly left: number;
  /** Whether the filter is rotated by 180 degrees and its channels and filters are exchanged. */
  readonly turned: boolean;
}

function convolve(
  simd: SimdKernels,
  backend: WasmBackend,
  x: TensorInfo,
  filter: TensorInfo,
  { from, to, outShape, top, left, turned }: Convolution,
): TensorInfo {
  const out = backend.makeOutput([...outShape], 'float32');
  const packedBytes = simd.winogradFilterBytes(from.channels, to.channels);
  const bytes = packedBytes + simd.winogradScratchBytes(from.channels, to.channels, to.height, to.width);
  withScratch(backend, bytes, (packed) => {
    const channels = turned ? to.channels : from.channels;
    const filters = turned ? from.channels : to.channels;
    simd.winogradFilters(pointerOf(backend, filter), channels, filters, turned, packed);
    simd.winogradConv(
      pointerOf(backend, x),
      packed,
      pointerOf(backend, out),
      outShape[0],
      from.height,
      from.width,
      from.channels,
      to.channels,
      to.height,
      to.width,
      top,
      left,
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
