import { DataError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';

/** Small image data sets have up to 200 classes (Tiny ImageNet); a higher label means damage or "no class". */
const MAX_CLASSES = 200;
/** Columns of QMNIST's labels: class, series, writer, digit, code, two places, an unused one. */
const QMNIST_COLUMNS = 8;

export interface Labels {
  /** One class a sample. */
  readonly labels: Uint8Array;
  readonly notes: readonly string[];
}

/**
 * Converts an array of any type to labels: [n], [n, 1], [n, classes] with a single 1 in each row, or QMNIST's [n, 8] of
 * int32 with the class in the first column.
 *
 * @throws DataError if the array has another shape, or if a label is not a whole number from 0 to 199
 */
export function toLabels(array: DataArray): Labels {
  const { path, dimensions, type, values } = array;
  const [count = 0, width = 1] = dimensions;
  if (dimensions.length > 2) {
    throw new DataError(
      `${path} holds ${dimensions.join(' x ')} numbers, which are images, not labels. Labels are one whole number a sample: check whether the file names are swapped.`,
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
    `${path} holds ${width} numbers a sample, and it is not clear which of them is the class. Write one whole number a sample.`,
  );
}

/** Position of the single 1 in each row, or null if a row has other values. */
function decodeOneHot(values: ArrayLike<number>, count: number, width: number): number[] | null {
  const classes: number[] = [];
  for (let row = 0; row < count; row++) {
    let position = -1;
    for (let column = 0; column < width; column++) {
      const value = values[row * width + column];
      if (value === 0) continue;
      if (value !== 1 || position >= 0) return null;
      position = column;
    }
    if (position < 0) return null;
    classes.push(position);
  }
  return classes;
}

function validateLabels({ path }: DataArray, values: ArrayLike<number>, count: number): Uint8Array {
  let invalidCount = 0;
  let firstInvalid = -1;
  let max = -1;
  let min = Infinity;
  for (let sample = 0; sample < count; sample++) {
    const value = values[sample] as number;
    if (Number.isInteger(value) && value >= 0 && value < MAX_CLASSES) {
      max = Math.max(max, value);
      min = Math.min(min, value);
    } else {
      invalidCount++;
      if (firstInvalid < 0) firstInvalid = sample;
    }
  }
  if (invalidCount === 0) return values instanceof Uint8Array ? values : Uint8Array.from(values);
  const which = invalidCount === 1 ? 'the only one' : `the first of ${invalidCount}`;
  const others = invalidCount === count ? '' : `; the others are from ${min} to ${max}`;
  throw new DataError(
    `${path}: expected whole labels from 0 to at most ${MAX_CLASSES - 1}, found label ${values[firstInvalid]} at sample ${firstInvalid}, counted from 0, ${which} of its kind${others}. ` +
      'Remove such samples, or give them a class.',
  );
}
