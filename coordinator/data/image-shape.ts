import { DataError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';

export interface ImageShape {
  /** [height, width, channels] */
  readonly sampleShape: readonly [number, number, number];
  /** Whether a sample is stored as [channels, height, width]. */
  readonly channelsFirst: boolean;
  /** Line to report if the shape was guessed. */
  readonly note?: string;
}

/** Gray, color, color with transparency. */
const USUAL_CHANNELS = [1, 3, 4];

/**
 * Infers the shape of the samples in an array of images:
 * - [n, h, w]: gray;
 * - [n, h, w, c]: channels last, unless only the second dimension is a usual number of channels: then [n, c, h, w];
 * - [n, k]: gray and square if k is a square number, or by column names ('1x1' to '28x28').
 *
 * @throws DataError for other arrays
 */
export function inferImageShape({ path, dimensions, columns }: DataArray): ImageShape {
  const [, a = 0, b = 0, c = 0] = dimensions;
  const shape = dimensions.join(' x ');
  switch (dimensions.length) {
    case 4: {
      if (USUAL_CHANNELS.includes(c) || !USUAL_CHANNELS.includes(a)) {
        return { sampleShape: [a, b, c], channelsFirst: false };
      }
      const note = `${path}: ${shape} is read as ${a} ${a === 1 ? 'channel' : 'channels'} of ${b} x ${c}.`;
      return { sampleShape: [b, c, a], channelsFirst: a > 1, note };
    }
    case 3:
      return { sampleShape: [a, b, 1], channelsFirst: false };
    case 2: {
      const named = parseColumnShape(columns ?? null);
      if (named !== null && named[0] * named[1] === a) {
        return { sampleShape: [...named, 1], channelsFirst: false };
      }
      const side = Math.sqrt(a);
      if (Number.isInteger(side)) {
        const note = `${path}: rows of ${a} numbers are read as images of ${side} x ${side}.`;
        return { sampleShape: [side, side, 1], channelsFirst: false, note };
      }
      throw new DataError(
        `${path} holds ${shape} numbers, and ${a} pixels do not make a square image. Write the images as [n, height, width] or [n, height, width, channels].`,
      );
    }
    default:
      throw new DataError(
        `${path} holds ${shape} single numbers, which are labels, not images. Check whether the file names are swapped.`,
      );
  }
}

/** Height and width, if the last column is named after its row and column: '28x28'. */
function parseColumnShape(columns: readonly string[] | null): [number, number] | null {
  const [, height, width] = /^(\d{1,4})x(\d{1,4})$/.exec(columns?.at(-1) ?? '') ?? [];
  return height === undefined ? null : [Number(height), Number(width)];
}
