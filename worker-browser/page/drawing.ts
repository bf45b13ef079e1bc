import { digitStrokes } from '../../shared/data/digit-strokes.ts';
import { drawPolyline, smooth } from '../../shared/data/rasterize.ts';
import type { Job } from '../../shared/model/job.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';

/** One movement of the finger: x0, y0, x1, y1, … in a box of width and height 1 with y down. */
export type Trace = readonly number[];

/** Of the picture's side: MNIST's digits fill a box of 20 of 28 pixels, and are centred by their mass. */
const BOX = 20 / 28;
const PEN = { radius: 1.15, edge: 1.3, ink: 255 };

/** Pixels of a side that a line still shows in, and that are drawn in time. */
const [LEAST_SIDE, MOST_SIDE] = [8, 256];

/** Height and width of the job's samples if they are pictures with one channel, which a finger can draw. */
export function drawableSize({ data }: Job): { readonly height: number; readonly width: number } | null {
  const [height, width, channels, ...more] = data.sampleShape;
  if (height === undefined || width === undefined || channels !== 1 || more.length > 0) return null;
  return [height, width].every((side) => side >= LEAST_SIDE && side <= MOST_SIDE) ? { height, width } : null;
}

/**
 * A drawing as MNIST would hold it: scaled to fill its box, ink 255 on 0, its centre of mass in the middle.
 * @returns [height, width] bytes; null if nothing is drawn
 */
export function renderPicture(traces: readonly Trace[], height: number, width: number): Uint8Array | null {
  const points = traces.flat();
  if (points.length === 0) return null;
  const xs = points.filter((_, i) => i % 2 === 0);
  const ys = points.filter((_, i) => i % 2 === 1);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const side = Math.min(height, width);
  // A dot stays one: it is not blown up to fill the box.
  const scale = (BOX * side - 2 * PEN.radius) / Math.max(right - left, bottom - top, 0.2);
  const draw = (shiftX: number, shiftY: number): Uint8Array => {
    const image = new Uint8Array(height * width);
    const pen = { ...PEN, radius: (PEN.radius * side) / 28 };
    for (const trace of traces) {
      const line = trace.map((value, i) =>
        i % 2 === 0
          ? (value - (left + right) / 2) * scale + width / 2 + shiftX
          : (value - (top + bottom) / 2) * scale + height / 2 + shiftY,
      );
      // A tap is a line from a point to itself.
      drawPolyline(image, width, height, line.length === 2 ? [...line, ...line] : line, pen);
    }
    return image;
  };
  const { x, y } = centerOfMass(draw(0, 0), width);
  return draw(width / 2 - x, height / 2 - y);
}

/** Centre of mass, in pixels. */
function centerOfMass(image: Uint8Array, width: number): { readonly x: number; readonly y: number } {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((ink, i) => {
    mass += ink;
    x += ink * ((i % width) + 0.5);
    y += ink * (Math.floor(i / width) + 0.5);
  });
  return { x: x / mass, y: y / mass };
}

/**
 * A digit as a hand would write it, in the middle of the box.
 * @param seed another one gives another hand
 */
export function sampleDigit(digit: number, seed: number): readonly Trace[] {
  const strokes = digitStrokes(digit, randomStream(seed, Purpose.syntheticDigits, digit));
  return strokes.map(({ points, kind }) => {
    const path = kind === 'line' ? [...points] : smooth(points, kind === 'loop', 8);
    return path.map((value, i) => (i % 2 === 0 ? 0.5 + (value - 0.5) * 0.5 : 0.5 + (value - 0.5) * 0.7));
  });
}

/** Below this probability of the most likely class the model takes a scribble for a digit. */
const MIN_CONFIDENCE = 0.6;

/** What the model reads, in a sentence. @param probabilities by class */
export function describePrediction(probabilities: readonly number[]): string {
  const most = Math.max(...probabilities);
  const best = probabilities.indexOf(most);
  return most >= MIN_CONFIDENCE ? `The model reads ${best}.` : `The model is not sure: perhaps ${best}.`;
}
