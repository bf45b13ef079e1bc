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
 * Geometries with every height and width up to 9, every window, four pairs of strides and both paddings. Windows may exceed the
 * image with padding 'same'. Channels, filters and batch are random.
 * @param excess number of cells by which a window may exceed the image
 */
export function* smallShapes(seed: number, excess: number): Generator<ConvGeometry> {
  const stream = randomStream(seed, Purpose.syntheticDigits);
  const pick = <T>(from: readonly T[]): T => from[stream.below(from.length)]!;
  for (const height of SIDES)
    for (const width of SIDES)
      for (let filterHeight = 1; filterHeight <= height + excess; filterHeight++)
        for (let filterWidth = 1; filterWidth <= width + excess; filterWidth++)
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
