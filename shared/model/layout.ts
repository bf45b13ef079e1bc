import type { LayoutEntry } from './job.ts';

/** Position of one tensor in the flat vector. */
export interface Slice {
  readonly shape: readonly number[];
  readonly trainable: boolean;
  /** Values, not bytes, before the tensor. */
  readonly offset: number;
  readonly size: number;
}

/** Order of a model's tensors in one flat Float32Array. The protocol identifies tensors only by this order. */
export interface Layout {
  readonly slices: readonly Slice[];
  /** Number of values: 600,810 for the default model. */
  readonly length: number;
}

/** Number of elements of a tensor. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((size, side) => size * side, 1);

export function layoutOf(entries: readonly LayoutEntry[]): Layout {
  const slices: Slice[] = [];
  let offset = 0;
  for (const { shape, trainable } of entries) {
    const size = sizeOf(shape);
    slices.push({ shape, trainable, offset, size });
    offset += size;
  }
  return { slices, length: offset };
}
