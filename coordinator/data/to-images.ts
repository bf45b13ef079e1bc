import { DataError } from '../../shared/data/data-error.ts';
import type { DataArray, NumberArray } from './data-array.ts';
import { inferImageShape } from './image-shape.ts';

export interface Images {
  readonly count: number;
  /** [height, width, channels] */
  readonly sampleShape: readonly number[];
  /** [count, ...sampleShape], row-major, 0 to 255; a view of the file's contents where that is possible. */
  readonly images: Uint8Array;
  /** How the file was read, where that is not plain. */
  readonly notes: readonly string[];
}

/**
 * The images of an array of any type. Whole numbers from 0 to 255 are taken as they are, decimal ones from 0 to 1 times
 * 255, rounded; other values could be scaled in many ways, so they are refused.
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
  const { least, most, isWhole } = findRange(values);
  // As decimal numbers, 0 and 1 are black and white; as whole numbers they are nearly black, like other small ones.
  if (least >= 0 && most <= 1 && (isFloat || !isWhole)) {
    const bytes = Uint8Array.from(values, (value) => Math.round(value * 255));
    return { bytes, note: `${path}: ${type} images from 0 to 1 are read as 0 to 255.` };
  }
  if (least >= 0 && most <= 255 && isWhole) {
    const note = `${path}: ${type} images of whole numbers are read as bytes.`;
    return { bytes: Uint8Array.from(values), ...(array.columns === undefined ? { note } : {}) };
  }
  const range = Number.isNaN(least)
    ? 'that are not all numbers'
    : `from ${formatShort(least)} to ${formatShort(most)}`;
  throw new DataError(
    `${path} holds ${type} images with values ${range}. gradcast reads whole numbers from 0 to 255 and decimal ones from 0 to 1: scale them and write uint8.`,
  );
}

/** NaN for both ends if a value is NaN. */
function findRange(values: NumberArray): { least: number; most: number; isWhole: boolean } {
  let least = Infinity;
  let most = -Infinity;
  let isWhole = true;
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
    isWhole &&= Number.isInteger(value);
  }
  return { least, most, isWhole };
}

const formatShort = (value: number): string => String(Number(value.toPrecision(4)));

/** [n, c, h, w] as [n, h, w, c]. */
function toChannelsLast(bytes: Uint8Array, pixels: number, channels: number): Uint8Array {
  const turned = new Uint8Array(bytes.length);
  const sample = pixels * channels;
  for (let start = 0; start < bytes.length; start += sample) {
    for (let channel = 0; channel < channels; channel++) {
      const from = start + channel * pixels;
      for (let pixel = 0; pixel < pixels; pixel++) {
        turned[start + pixel * channels + channel] = bytes[from + pixel] as number;
      }
    }
  }
  return turned;
}
