import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import type { ConvGeometry } from '../../support/reference-kernels.ts';

const SIDES = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const CHANNELS = [1, 2, 3, 4, 5, 8, 12];
const STRIDES = [
  [1, 1],
  [2, 2],
  [1, 2],
  [3, 1],
] as const;

/**
 * Every height and width up to 9 with every window up to as large as the image, and beyond it with padding 'same', four pairs
 * of strides and both paddings; channels, filters and batch are drawn.
 * @param beyond by how many cells a window may exceed the image
 */
export function* smallShapes(seed: number, beyond: number): Generator<ConvGeometry> {
  const stream = randomStream(seed, Purpose.syntheticDigits);
  const pick = <T>(from: readonly T[]): T => from[stream.below(from.length)]!;
  for (const height of SIDES)
    for (const width of SIDES)
      for (let filterHeight = 1; filterHeight <= height + beyond; filterHeight++)
        for (let filterWidth = 1; filterWidth <= width + beyond; filterWidth++)
          for (const [strideY, strideX] of STRIDES)
            for (const pad of ['same', 'valid'] as const) {
              if (pad === 'valid' && (filterHeight > height || filterWidth > width)) continue;
              yield {
                height,
                width,
                filterHeight,
                filterWidth,
                strideY,
                strideX,
                pad,
                batch: 1 + stream.below(3),
                channels: pick(CHANNELS),
                filters: pick(CHANNELS),
              };
            }
}
