import { digitStrokes } from '../../shared/data/digit-strokes.ts';
import { drawPolyline, smooth } from '../../shared/data/rasterize.ts';
import type { Job } from '../../shared/model/job.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';

/** One stroke of a drawing: x0, y0, x1, y1, … in a box of width and height 1 with y down. */
export type Stroke = readonly number[];

/** Fraction of the picture's side: MNIST's digits fill a box of 20 of 28 pixels, centered by their mass. */
const BOX = 20 / 28;
const PEN = { radius: 1.15, edge: 1.3, ink: 255 };

/** Pixels; a line is not recognizable in a smaller picture. */
const MIN_SIDE = 8;
/** Pixels; a larger picture takes too long to render. */
const MAX_SIDE = 256;

/** Height and width of the job's samples if they are pictures with one channel, which a finger can draw. */
export function drawableSize({
  inputs,
}: Pick<Job, 'inputs'>): { readonly height: number; readonly width: number } | null {
  const [input, ...others] = inputs;
  if (input?.dtype !== 'uint8' || others.length > 0) return null;
  const [height, width, channels, ...rest] = input.shape;
  if (height === undefined || width === undefined || channels !== 1 || rest.length > 0) return null;
  return [height, width].every((side) => side >= MIN_SIDE && side <= MAX_SIDE) ? { height, width } : null;
}

/**
 * A drawing as a picture in the form of MNIST's: scaled to its box, ink 255 on 0, its center of mass in the middle.
 * @returns [height, width] bytes; null if nothing is drawn
 */
export function renderPicture(strokes: readonly Stroke[], height: number, width: number): Uint8Array | null {
  const points = strokes.flat();
  if (points.length === 0) return null;
  const xs = points.filter((_, i) => i % 2 === 0);
  const ys = points.filter((_, i) => i % 2 === 1);
  const left = Math.min(...xs);
  const right = Math.max(...xs);
  const top = Math.min(...ys);
  const bottom = Math.max(...ys);
  const side = Math.min(height, width);
  // The lower limit keeps a dot from being scaled up to fill the box.
  const scale = (BOX * side - 2 * PEN.radius) / Math.max(right - left, bottom - top, 0.2);
  const draw = (shiftX: number, shiftY: number): Uint8Array => {
    const image = new Uint8Array(height * width);
    const pen = { ...PEN, radius: (PEN.radius * side) / 28 };
    for (const stroke of strokes) {
      const line = stroke.map((value, i) =>
        i % 2 === 0
          ? (value - (left + right) / 2) * scale + width / 2 + shiftX
          : (value - (top + bottom) / 2) * scale + height / 2 + shiftY,
      );
      // A tap has one point; a line needs two.
      drawPolyline(image, width, height, line.length === 2 ? [...line, ...line] : line, pen);
    }
    return image;
  };
  const { x, y } = centerOfMass(draw(0, 0), width);
  return draw(width / 2 - x, height / 2 - y);
}

/** Center of mass, in pixels. */
function centerOfMass(image: Uint8Array, width: number): { readonly x: number; readonly y: number } {
  let mass = 0;
  let x = 0;
  let y = 0;
  image.forEach((ink, i) => {
    mass += ink;
    x += ink * ((i % width) + 0.5);
    y += ink * (Math.floor(i / width) + 0.5);
  });
  return { x: x / mass, y: y / mass };
}

/**
 * A digit in the form of handwriting, in the middle of the box.
 * @param seed varies the handwriting
 */
export function sampleDigit(digit: number, seed: number): readonly Stroke[] {
  const strokes = digitStrokes(digit, randomStream(seed, Purpose.syntheticDigits, digit));
  return strokes.map(({ points, kind }) => {
    const path = kind === 'line' ? [...points] : smooth(points, kind === 'loop', 8);
    return path.map((value, i) => (i % 2 === 0 ? 0.5 + (value - 0.5) * 0.5 : 0.5 + (value - 0.5) * 0.7));
  });
}

/** Below this probability of the most likely class the model counts as unsure. */
const MIN_CONFIDENCE = 0.6;

/** Sentence with the most likely class. @param probabilities by class */
export function describePrediction(probabilities: readonly number[]): string {
  const highest = Math.max(...probabilities);
  const best = probabilities.indexOf(highest);
  return highest >= MIN_CONFIDENCE ? `The model reads ${best}.` : `The model is not sure: perhaps ${best}.`;
}
