import type { Job } from '../../shared/model/job.ts';

/** Decoded picture: 8-bit RGBA, row-major. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8Array;
}

/** One channel of a picture, 0 to 255. Values are computed on access, as those of a photograph would fill gigabytes. */
interface Plane {
  readonly width: number;
  readonly height: number;
  at(x: number, y: number): number;
}

/** One channel with computed values, row-major. */
interface Raster {
  readonly width: number;
  readonly height: number;
  readonly values: Float64Array;
}

/** MNIST's digits are 20 pixels high or wide in a field of 28, with the center of mass in the middle. */
const INK_SHARE = 20 / 28;
/** Smallest value of ink, of 255; darker pixels are background. */
const INK_THRESHOLD = 32;

/** Data sets whose images are digits as MNIST has them. */
const DIGIT_SETS = ['mnist', 'drawn-digits', 'emnist-digits', 'emnist-mnist'];

/** Whether a model was trained on digits as MNIST has them, and not on images that are to be taken as they are. */
export const takesDigits = ({ data, inputs }: Pick<Job, 'data' | 'inputs'>): boolean =>
  DIGIT_SETS.includes(data.name) && inputs.length === 1 && inputs[0]?.shape.at(-1) === 1;

/**
 * Converts a picture to a sample of a model of digits. A picture of the model's own size keeps its pixels, with light ink on black
 * as in MNIST or dark ink on white. Other pictures are processed like MNIST's digits: the ink is cropped, scaled to 20/28 of the
 * field and centered by its mass.
 * @param sampleShape [height, width, 1]
 * @returns [height, width, 1], 0 to 255
 * @throws Error if the picture has no ink
 */
export function sampleFromPicture(picture: Picture, sampleShape: readonly number[]): Uint8Array {
  const [height = 0, width = 0] = sampleShape;
  const ink = lightOnDark(luma(picture));
  const isModelSize = ink.width === width && ink.height === height;
  const sample = isModelSize ? scale(ink, width, height) : centerByMass(ink, width, height);
  return Uint8Array.from(sample.values, Math.round);
}

/** Blends a pixel over white, as an image viewer shows transparency. */
function blendOverWhite(rgba: Uint8Array, pixel: number, index: number): number {
  const value = rgba[4 * pixel + index] ?? 0;
  const alpha = rgba[4 * pixel + 3] ?? 255;
  return alpha === 255 ? value : value * (alpha / 255) + 255 * (1 - alpha / 255);
}

/** Luma by Rec. 601. */
const luma = ({ width, height, rgba }: Picture): Plane => ({
  width,
  height,
  at(x, y) {
    const pixel = y * width + x;
    return (
      0.299 * blendOverWhite(rgba, pixel, 0) +
      0.587 * blendOverWhite(rgba, pixel, 1) +
      0.114 * blendOverWhite(rgba, pixel, 2)
    );
  },
});

/** Inverts a picture with a light border, which counts as background. */
function lightOnDark(plane: Plane): Plane {
  const { width, height } = plane;
  let sum = 0;
  let pixels = 0;
  for (let y = 0; y < height; y++) {
    const inside = y > 0 && y < height - 1 && width > 1;
    for (let x = 0; x < width; x += inside ? width - 1 : 1) {
      sum += plane.at(x, y);
      pixels++;
    }
  }
  return sum / pixels > 127 ? { ...plane, at: (x, y) => 255 - plane.at(x, y) } : plane;
}

function centerByMass(plane: Plane, width: number, height: number): Raster {
  const ink = cropToInk(plane);
  const factor = (INK_SHARE * Math.min(width, height)) / Math.max(ink.width, ink.height);
  const scaled = scale(
    ink,
    Math.max(1, Math.round(ink.width * factor)),
    Math.max(1, Math.round(ink.height * factor)),
  );
  const mass = scaled.values.reduce((sum, value) => sum + value, 0);
  const meanOf = (position: (i: number) => number): number =>
    scaled.values.reduce((sum, value, i) => sum + value * (position(i) + 0.5), 0) / mass;
  const left = Math.round(width / 2 - meanOf((i) => i % scaled.width));
  const top = Math.round(height / 2 - meanOf((i) => Math.floor(i / scaled.width)));
  const values = new Float64Array(width * height);
  scaled.values.forEach((value, i) => {
    const x = left + (i % scaled.width);
    const y = top + Math.floor(i / scaled.width);
    if (x >= 0 && x < width && y >= 0 && y < height) values[y * width + x] = value;
  });
  return { width, height, values };
}

/** Crops to the smallest rectangle that contains all ink. */
function cropToInk(plane: Plane): Plane {
  let left = Infinity;
  let right = -1;
  let top = Infinity;
  let bottom = -1;
  for (let y = 0; y < plane.height; y++) {
    for (let x = 0; x < plane.width; x++) {
      if (plane.at(x, y) < INK_THRESHOLD) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  if (right < 0) throw new Error('The picture is empty: it has no ink that differs from its background.');
  const width = right - left + 1;
  const height = bottom - top + 1;
  return { width, height, at: (x, y) => plane.at(left + x, top + y) };
}

/** Scales by the mean over the area that each new pixel covers. */
function scale(plane: Plane, width: number, height: number): Raster {
  const sx = plane.width / width;
  const sy = plane.height / height;
  const values = Float64Array.from({ length: width * height }, (_, i) => {
    const x0 = (i % width) * sx;
    const y0 = Math.floor(i / width) * sy;
    let sum = 0;
    for (let y = Math.floor(y0); y < y0 + sy; y++) {
      const rows = Math.min(y + 1, y0 + sy) - Math.max(y, y0);
      for (let x = Math.floor(x0); x < x0 + sx; x++) {
        const columns = Math.min(x + 1, x0 + sx) - Math.max(x, x0);
        sum += plane.at(Math.min(x, plane.width - 1), Math.min(y, plane.height - 1)) * rows * columns;
      }
    }
    return sum / (sx * sy);
  });
  return { width, height, values };
}
