import { instantiate } from '../own-memory.ts';
import { masksBytesBase64 } from './masks-bytes.ts';

/** The function of masks.as. */
interface Exports {
  fill(
    to: number,
    first: number,
    blocks: number,
    ...rest: [key0: number, key1: number, layer: number, threshold: number, scale: number]
  ): void;
}

/** How one sample's mask of a layer is made. */
export interface SampleMask {
  /** The sample's key, two words. */
  readonly key0: number;
  readonly key1: number;
  readonly layer: number;
  /** An element is kept if its byte is at least this. */
  readonly threshold: number;
  /** What kept elements are multiplied by. */
  readonly scale: number;
}

/** Fills mask[from] to mask[from + size - 1] with the mask of a sample. */
export type FillSampleMask = (mask: Float32Array, from: number, size: number, sample: SampleMask) => void;

/** Elements of a block of Threefry's, and how many blocks are made at a time. */
const BLOCK_VALUES = 8;
const BLOCKS_PER_CALL = 4;
/** Elements that the memory takes; they are copied from there, and stay in the cache meanwhile. */
const BUFFER_VALUES = 8192;

/** The kernel as SIMD WebAssembly, or null where there is none. */
export function createSimdFillMask(): FillSampleMask | null {
  const memory = instantiate(masksBytesBase64, BUFFER_VALUES * 4);
  if (memory === null) return null;
  const kernels = memory.exports as Exports;
  const made = new Float32Array(memory.buffer, 0, BUFFER_VALUES);
  return (mask, from, size, { key0, key1, layer, threshold, scale }) => {
    for (let done = 0; done < size; done += BUFFER_VALUES) {
      const n = Math.min(BUFFER_VALUES, size - done);
      const blocks = Math.ceil(n / (BLOCK_VALUES * BLOCKS_PER_CALL)) * BLOCKS_PER_CALL;
      kernels.fill(0, done / BLOCK_VALUES, blocks, key0, key1, layer, threshold, scale);
      mask.set(n === BUFFER_VALUES ? made : made.subarray(0, n), from + done);
    }
  };
}
