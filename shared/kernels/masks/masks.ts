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
const BLOCK = 8;
const AT_ONCE = 4;
/** Elements that the memory takes; they are copied from there, and stay in the cache meanwhile. */
const ROOM = 8192;

/** The kernel as SIMD WebAssembly, or null where there is none. */
export function simdMasks(): FillSampleMask | null {
  const memory = instantiate(masksBytesBase64, ROOM * 4);
  if (memory === null) return null;
  const kernels = memory.exports as Exports;
  const made = new Float32Array(memory.buffer, 0, ROOM);
  return (mask, from, size, { key0, key1, layer, threshold, scale }) => {
    for (let done = 0; done < size; done += ROOM) {
      const n = Math.min(ROOM, size - done);
      const blocks = Math.ceil(n / (BLOCK * AT_ONCE)) * AT_ONCE;
      kernels.fill(0, done / BLOCK, blocks, key0, key1, layer, threshold, scale);
      mask.set(n === ROOM ? made : made.subarray(0, n), from + done);
    }
  };
}
