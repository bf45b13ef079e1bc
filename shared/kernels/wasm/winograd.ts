import type { ConvolutionInfo } from './conv-info.ts';
import type { TensorInfo, WasmBackend } from './backend.ts';
import { pointerOf, withScratch } from './backend.ts';
import type { SimdKernels } from './simd.ts';

/** Smallest side of an image that is worth it: a tile yields 2 x 2 outputs, and much of it would lie beyond the edge. */
const MIN_SIDE = 4;

// Tiles of 4 x 4 gradients need 36/64 of the products, but their error is larger. Where it is at most twice that of TensorFlow, the
// filter's gradient uses them (docs/decisions/0052-convolutions.md). An output does not: where it is 0 it must stay 0, as a ReLU follows.
/** Fewest large tiles of the filter's gradient, which is the sum over them. */
const MIN_TILES = 1024;

/** Whether Winograd's algorithm supports a convolution's taps and strides, and its images are large enough. */
function isSuitable(info: ConvolutionInfo, height: number, width: number): boolean {
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

/** Operations on a convolution's output. */
export interface Epilogue {
  /** Byte offset of the bias [filters]; 0 for none. */
  readonly bias: number;
  readonly relu: boolean;
}

const NO_EPILOGUE: Epilogue = { bias: 0, relu: false };

/** Convolution of x by the filter in 16/36 of the products, or null if Winograd's algorithm does not apply. */
export function winogradForward(
  simd: SimdKernels,
  backend: WasmBackend,
  x: TensorInfo,
  filter: TensorInfo,
  info: ConvolutionInfo,
  epilogue = NO_EPILOGUE,
): TensorInfo | null {
  const sizes = forwardSizes(info);
  if (sizes === null) return null;
  return withWinograd(simd, backend, pointerOf(backend, filter), sizes, epilogue, (convolve) => {
    const out = backend.makeOutput([...info.outShape], 'float32');
    convolve(pointerOf(backend, x), pointerOf(backend, out), info.batchSize);
    return out;
  });
}

/** Sizes of a convolution for withWinograd(); null if Winograd's algorithm does not apply. */
export function forwardSizes(info: ConvolutionInfo): Sizes | null {
  const { inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, outHeight, outWidth) || inChannels % 4 !== 0) return null;
  return {
    from: { height: inHeight, width: inWidth, channels: inChannels },
    to: { height: outHeight, width: outWidth, channels: outChannels },
    top: padInfo.top,
    left: padInfo.left,
    turned: false,
  };
}

/**
 * Gradient of the input, or null if Winograd's algorithm does not apply.
 */
export function winogradInputGradient(
  simd: SimdKernels,
  backend: WasmBackend,
  dy: TensorInfo,
  filter: TensorInfo,
  info: ConvolutionInfo,
): TensorInfo | null {
  const { inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, inHeight, inWidth) || outChannels % 4 !== 0) return null;
  const sizes: Sizes = {
    from: { height: outHeight, width: outWidth, channels: outChannels },
    to: { height: inHeight, width: inWidth, channels: inChannels },
    top: 2 - padInfo.top,
    left: 2 - padInfo.left,
    turned: true,
  };
  return withWinograd(simd, backend, pointerOf(backend, filter), sizes, NO_EPILOGUE, (convolve) => {
    const out = backend.makeOutput([...info.inShape], 'float32');
    convolve(pointerOf(backend, dy), pointerOf(backend, out), info.batchSize);
    return out;
  });
}

interface ImageSize {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

export interface Sizes {
  readonly from: ImageSize;
  readonly to: ImageSize;
  readonly top: number;
  readonly left: number;
  /** Whether the filter is rotated by 180 degrees and its channels and filters are exchanged. */
  readonly turned: boolean;
}

/**
 * Transforms a filter and runs `use` with a function that convolves images by it. With a pointer for the places of the largest outputs, it
 * computes a max-pool of 2 x 2, too; the output's sides are even then.
 */
export function withWinograd<T>(
  simd: SimdKernels,
  backend: WasmBackend,
  filter: number,
  { from, to, top, left, turned }: Sizes,
  { bias, relu }: Epilogue,
  use: (convolve: (x: number, out: number, batch: number, winners?: number) => void) => T,
): T {
  const packedBytes = simd.winogradFilterBytes(from.channels, to.channels);
  const scratchBytes = simd.winogradScratchBytes(from.channels, to.channels, to.height, to.width);
  return withScratch(backend, packedBytes + scratchBytes, (packed) => {
    const scratch = packed + packedBytes;
    const [channels, filters] = turned ? [to.channels, from.channels] : [from.channels, to.channels];
    const sizes = [from.height, from.width, from.channels, to.channels, to.height, to.width] as const;
    simd.winogradFilters(filter, channels, filters, turned, packed);
    return use((x, out, batch, winners = 0) => {
      simd.winogradConv(x, packed, bias, relu, out, winners, batch, ...sizes, top, left, scratch);
    });
  });
}

/** Gradient of the filter, or null if Winograd's algorithm does not apply. */
export function winogradFilterGradient(
  simd: SimdKernels,
  backend: WasmBackend,
  x: TensorInfo,
  dy: TensorInfo,
  info: ConvolutionInfo,
): TensorInfo | null {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, outHeight, outWidth, padInfo } = info;
  if (!isSuitable(info, outHeight, outWidth) || inChannels % 4 !== 0 || outChannels % 4 !== 0) return null;
  const sizes = [inHeight, inWidth, inChannels, outChannels, outHeight, outWidth] as const;
  const tiles = batchSize * Math.ceil(outHeight / 4) * Math.ceil(outWidth / 4);
  const isLarge = tiles >= MIN_TILES && simd.roundsOnce() !== 0;
  const bytes = isLarge
    ? simd.winogradFourFilterGradientScratchBytes(inChannels, outChannels)
    : simd.winogradFilterGradientScratchBytes(inChannels, outChannels, outHeight, outWidth);
  const algorithm = isLarge ? 'winogradFourFilterGradient' : 'winogradFilterGradient';
  return withScratch(backend, bytes, (scratch) => {
    const out = backend.makeOutput([...info.filterShape], 'float32');
    simd[algorithm](
      pointerOf(backend, x),
      pointerOf(backend, dy),
      pointerOf(backend, out),
      batchSize,
      ...sizes,
      padInfo.top,
      padInfo.left,
      scratch,
    );
    return out;
  });
}
