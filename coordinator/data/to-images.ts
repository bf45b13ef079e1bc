import { DataError } from '../../shared/data/data-error.ts';
import type { DataArray, NumberArray } from './data-array.ts';
import { inferImageShape } from './image-shape.ts';

export interface Images {
  readonly count: number;
  /** [height, width, channels] */
  readonly sampleShape: readonly number[];
  /** [count, ...sampleShape], row-major, 0 to 255; a view of the file's contents if possible. */
  readonly images: Uint8Array;
  /** Lines to report about guesses. */
  readonly notes: readonly string[];
}

/**
 * Converts an array of any type to images. Whole numbers from 0 to 255 stay unchanged; decimal numbers from 0 to 1 are
 * multiplied by 255 and rounded. Other values are rejected, since they could be scaled in many ways.
 *
 * @throws DataError
 */
export function toImages(array: DataArray): Images {
  const { sampleShape, channelsFirst, note } = inferImageShape(array);
  const [height, width, channels] = sampleShape;
  const { bytes, note: valuesNote } = toPixels(array);
  return {
    count: array.dimensions[0] ?? 0,
    sampleShape,
    images: channelsFirst ? toChannelsLast(bytes, height * width, channels) : bytes,
    notes: [note, valuesNote].filter((line) => line !== undefined),
  };
}

function toPixels(array: DataArray): { bytes: Uint8Array; note?: string } {
  const { path, type, isFloat, values } = array;
  if (array.bytes !== undefined) return { bytes: array.bytes };
  const { min, max, isWhole } = findRange(values);
  // As decimal numbers, 0 and 1 are black and white; as whole numbers, both are nearly black.
  if (min >= 0 && max <= 1 && (isFloat || !isWhole)) {
    const bytes = Uint8Array.from(values, (value) => Math.round(value * 255));
    return { bytes, note: `${path}: ${type} images from 0 to 1 are read as 0 to 255.` };
  }
  if (min >= 0 && max <= 255 && isWhole) {
    const note = `${path}: ${type} images of whole numbers are read as bytes.`;
    return { bytes: Uint8Array.from(values), ...(array.columns === undefined ? { note } : {}) };
  }
  const range = Number.isNaN(min)
    ? 'that are not all numbers'
    : `from ${formatShort(min)} to ${formatShort(max)}`;
  throw new DataError(
    `${path} holds ${type} images with values ${range}. gradcast reads whole numbers from 0 to 255 and decimal ones from 0 to 1: scale them and write uint8.`,
  );
}

/** Range of the values; min and max are NaN if a value is NaN. */
function findRange(values: NumberArray): { min: number; max: number; isWhole: boolean } {
  let min = Infinity;
  let max = -Infinity;
  let isWhole = true;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    isWhole &&= Number.isInteger(value);
  }
  return { min, max, isWhole };
}

const formatShort = (value: number): string => String(Number(value.toPrecision(4)));

/** Reorders [n, c, h, w] to [n, h, w, c]. */
function toChannelsLast(bytes: Uint8Array, pixels: number, channels: number): Uint8Array {
  const reordered = new Uint8Array(bytes.length);
  const sample = pixels * channels;
  for (let start = 0; start < bytes.length; start += sample) {
    for (let channel = 0; channel < channels; channel++) {
      const from = start + channel * pixels;
      for (let pixel = 0; pixel < pixels; pixel++) {
        reordered[start + pixel * channels + channel] = bytes[from + pixel] as number;
      }
    }
  }
  return reordered;
}
