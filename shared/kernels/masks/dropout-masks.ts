import { instantiate } from '../instantiate.ts';
import { masksBytesBase64 } from './masks-bytes.ts';
import { Purpose } from '../../random/stream.ts';
import { threefry2x32 } from '../../random/threefry.ts';

/** Exports of wasm/assembly/masks.as. */
interface Exports {
  fill(
    to: number,
    first: number,
    blocks: number,
    key0: number,
    key1: number,
    layer: number,
    threshold: number,
    scale: number,
  ): void;
}

/** Parameters of one sample's mask of one layer. */
export interface SampleMask {
  /** First and second word of the sample's key. */
  readonly key0: number;
  readonly key1: number;
  readonly layer: number;
  /** An element is kept if its byte is at least this. */
  readonly threshold: number;
  /** Factor of the kept elements. */
  readonly scale: number;
}

/** Fills mask[from] to mask[from + size - 1] with the mask of a sample. */
export type FillSampleMask = (mask: Float32Array, from: number, size: number, sample: SampleMask) => void;

/** Elements of a Threefry block, and blocks of one call. */
const BLOCK_VALUES = 8;
const BLOCKS_PER_CALL = 4;
/** Elements of WebAssembly's memory, few enough to stay in the CPU's cache until they are copied. */
const BUFFER_VALUES = 8192;

/** Kernel in WebAssembly with SIMD, or null if the platform lacks it. */
export function createSimdFillMask(): FillSampleMask | null {
  const memory = instantiate(masksBytesBase64, BUFFER_VALUES * 4);
  if (memory === null) return null;
  const kernels = memory.exports as Exports;
  const generated = new Float32Array(memory.buffer, 0, BUFFER_VALUES);
  return (mask, from, size, { key0, key1, layer, threshold, scale }) => {
    for (let done = 0; done < size; done += BUFFER_VALUES) {
      const n = Math.min(BUFFER_VALUES, size - done);
      const blocks = Math.ceil(n / (BLOCK_VALUES * BLOCKS_PER_CALL)) * BLOCKS_PER_CALL;
      kernels.fill(0, done / BLOCK_VALUES, blocks, key0, key1, layer, threshold, scale);
      mask.set(n === BUFFER_VALUES ? generated : generated.subarray(0, n), from + done);
    }
  };
}

/** Key of all masks of a step. */
export interface MaskKey {
  readonly seed: number;
  readonly step: number;
}

/**
 * Fills a dropout mask that depends only on (seed, step, sample, layer), so that every worker and engine computes the same
 * mask for a sample.
 *
 * For each sample, subkey = threefry2x32([seed, Purpose.dropout], [step, sample]). Block i of layer l is
 * threefry2x32(subkey, [i, l]): eight bytes, word 0 before word 1, low byte first; byte e % 8 of block floor(e / 8)
 * decides element e of the sample's activation (row-major). An element is kept if its byte is at least
 * t = round(256 * rate), and scaled by 256 / (256 - t), so that the expectation is exact for every rate.
 *
 * @param sampleNumbers [samples]
 * @param size elements of the layer's activation for one sample
 * @param mask receives [samples, size]: 0 or the scale
 */
export function fillDropoutMask(
  mask: Float32Array,
  key: MaskKey,
  sampleNumbers: Uint32Array,
  layer: number,
  size: number,
  rate: number,
): void {
  const { threshold, scale } = thresholdOf(rate);
  const keys = sampleKeys(key, sampleNumbers);
  for (let i = 0; i < sampleNumbers.length; i++) {
    const [key0 = 0, key1 = 0] = keys.subarray(2 * i);
    fillSampleMask(mask, i * size, size, { key0, key1, layer, threshold, scale });
  }
}

/** Keys of samples: the two words of each one's subkey, [samples, 2]. */
export function sampleKeys({ seed, step }: MaskKey, sampleNumbers: Uint32Array): Uint32Array {
  const keys = new Uint32Array(2 * sampleNumbers.length);
  sampleNumbers.forEach((sample, i) =>
    threefry2x32(seed, Purpose.dropout, step, sample, keys.subarray(2 * i)),
  );
  return keys;
}

/** Least byte of a kept element, and the factor of kept elements, for a rate of dropout. */
export function thresholdOf(rate: number): { readonly threshold: number; readonly scale: number } {
  const threshold = Math.min(255, Math.round(256 * rate));
  return { threshold, scale: 256 / (256 - threshold) };
}

/** Kernel without WebAssembly, at a tenth of the speed. */
export const fillSampleMaskScalar: FillSampleMask = (
  mask,
  from,
  size,
  { key0, key1, layer, threshold, scale },
) => {
  const words = new Uint32Array(2);
  const end = from + size;
  for (let block = 0, at = from; at < end; block++) {
    threefry2x32(key0, key1, block, layer, words);
    for (let e = 0; e < 8 && at < end; e++, at++) {
      const byte = ((words[e >> 2] as number) >>> (8 * (e & 3))) & 255;
      mask[at] = byte < threshold ? 0 : scale;
    }
  }
};

const fillSampleMask = createSimdFillMask() ?? fillSampleMaskScalar;
