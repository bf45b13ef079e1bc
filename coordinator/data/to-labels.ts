import { DataError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';

/** Data sets of this kind have up to 200 classes (Tiny ImageNet); a higher label marks damage or "no class". */
const MAX_CLASSES = 200;
/** QMNIST's labels: class, series, writer, digit, code, two places, an unused one. */
const QMNIST_COLUMNS = 8;

export interface Labels {
  /** A class a sample. */
  readonly labels: Uint8Array;
  readonly notes: readonly string[];
}

/**
 * The classes of an array of any type: [n], [n, 1], [n, classes] with a single 1 in each row, or QMNIST's [n, 8] of
 * int32, of which the first is the class.
 *
 * @throws DataError if it is another array, or if a label is no whole number from 0 to 199
 */
export function toLabels(array: DataArray): Labels {
  const { path, dimensions, type, values } = array;
  const [count = 0, width = 1] = dimensions;
  if (dimensions.length > 2) {
    throw new DataError(
      `${path} holds ${dimensions.join(' x ')} numbers, which are images and not labels. Labels are one whole number a sample: see whether the files are named the wrong way round.`,
    );
  }
  if (width === 1) return { labels: validateLabels(array, values, count), notes: [] };
  const classes = decodeOneHot(values, count, width);
  if (classes !== null) {
    const note = `${path}: rows with a single 1 among ${width} are read as classes from 0 to ${width - 1}.`;
    return { labels: validateLabels(array, classes, count), notes: [note] };
  }
  if (width === QMNIST_COLUMNS && type === 'int32') {
    const first = Array.from({ length: count }, (_, row) => values[row * width] as number);
    const note = `${path}: of QMNIST's ${width} columns, the first is read as the class.`;
    return { labels: validateLabels(array, first, count), notes: [note] };
  }
  throw new DataError(
    `${path} holds ${width} numbers a sample, and which of them is the class cannot be told. Write one whole number a sample.`,
  );
}

/** The place of the single 1 in each row, or null if there are other rows. */
function decodeOneHot(values: ArrayLike<number>, count: number, width: number): number[] | null {
  const classes: number[] = [];
  for (let row = 0; row < count; row++) {
    let place = -1;
    for (let column = 0; column < width; column++) {
      const value = values[row * width + column];
      if (value === 0) continue;
      if (value !== 1 || place >= 0) return null;
      place = column;
    }
    if (place < 0) return null;
    classes.push(place);
  }
  return classes;
}

function validateLabels({ path }: DataArray, values: ArrayLike<number>, count: number): Uint8Array {
  let wrong = 0;
  let first = -1;
  let most = -1;
  let least = Infinity;
  for (let sample = 0; sample < count; sample++) {
    const value = values[sample] as number;
    if (Number.isInteger(value) && value >= 0 && value < MAX_CLASSES) {
      most = Math.max(most, value);
      least = Math.min(least, value);
    } else {
      wrong++;
      if (first < 0) first = sample;
    }
  }
  if (wrong === 0) return values instanceof Uint8Array ? values : Uint8Array.from(values);
  const how = wrong === 1 ? 'the only one' : `the first of ${wrong}`;
  const rest = wrong === count ? '' : `; the others are from ${least} to ${most}`;
  throw new DataError(
    `${path}: expected whole labels from 0 to at most ${MAX_CLASSES - 1}, found label ${values[first]} at sample ${first}, counted from 0, ${how} of its kind${rest}. ` +
      'Leave such samples out, or give them a class.',
  );
}
