import type { LayoutEntry } from './job.ts';

/** Where one tensor lies in the flat vector. */
export interface Slice {
  readonly shape: readonly number[];
  readonly trainable: boolean;
  /** In values, not bytes. */
  readonly offset: number;
  readonly size: number;
}

/** How a model's tensors lie one behind the other in one flat Float32Array. Order is the only name they have. */
export interface Layout {
  readonly slices: readonly Slice[];
  /** Values in all: 600,810 for the default model. */
  readonly length: number;
}

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
