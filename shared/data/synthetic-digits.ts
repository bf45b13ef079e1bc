import { Purpose, randomStream, type RandomStream } from '../random/stream.ts';
import { imageDataset, type StoredDataset, type LabeledImages } from './dataset.ts';
import { digitStrokes } from './digit-strokes.ts';
import { drawPolyline, smooth, type Pen } from './rasterize.ts';

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const DIGITS = 10;

/** Key of each split's random streams, so that no test digit is also a training digit. */
const SplitKey = { train: 0, test: 1 } as const;

export interface SyntheticDigitsOptions {
  /** Determines every pixel. */
  readonly seed: number;
  /** Default 60,000, as in MNIST. */
  readonly trainCount?: number | undefined;
  /** Default 10,000, as in MNIST. */
  readonly testCount?: number | undefined;
}

/**
 * Digits that gradcast draws, [28, 28, 1] with light ink on black like MNIST, for a machine without access to MNIST. Sample i
 * depends only on the seed and on i, not on the counts.
 */
export function syntheticDigits(options: SyntheticDigitsOptions): StoredDataset {
  const { seed, trainCount = 60_000, testCount = 10_000 } = options;
  return imageDataset({
    name: 'drawn-digits',
    description: `Digits that gradcast drew itself with seed ${seed}, not MNIST: accuracies on them do not compare with published ones.`,
    sampleShape: [SIDE, SIDE, 1],
    classes: DIGITS,
    train: generateSplit(seed, SplitKey.train, trainCount),
    test: generateSplit(seed, SplitKey.test, testCount),
  });
}

function generateSplit(seed: number, key: number, count: number): LabeledImages {
  const images = new Uint8Array(count * PIXELS);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const random = randomStream(seed, Purpose.syntheticDigits, i, key);
    const digit = random.below(DIGITS);
    labels[i] = digit;
    drawDigit(images.subarray(i * PIXELS, (i + 1) * PIXELS), digit, random);
  }
  return { images, labels, count };
}

function drawDigit(image: Uint8Array, digit: number, random: RandomStream): void {
  const pen: Pen = {
    radius: uniformBetween(random, 0.7, 1.7),
    edge: uniformBetween(random, 0.9, 1.6),
    ink: uniformBetween(random, 190, 255),
  };
  const wobble = uniformBetween(random, 0.01, 0.045);
  const strokes = digitStrokes(digit, random);
  const place = randomPlacement(random);
  for (const { points, kind } of strokes) {
    const placed = points.slice();
    for (let at = 0; at < placed.length; at += 2) {
      place(
        placed,
        at,
        (points[at] as number) + wobble * random.normal(),
        (points[at + 1] as number) + wobble * random.normal(),
      );
    }
    const path = kind === 'line' ? bendLines(placed, random) : smooth(placed, kind === 'loop', 4);
    drawPolyline(image, SIDE, SIDE, path, pen);
  }
  if (random.below(12) === 0) drawStrayMark(image, random, pen);
  addNoise(image, random);
}

/** Random size, slant, rotation and shift of a digit, as a function that writes a point of the unit box in pixels. */
function randomPlacement(random: RandomStream): (out: number[], at: number, x: number, y: number) => void {
  const width = uniformBetween(random, 9.5, 15);
  const height = uniformBetween(random, 15.5, 20.5);
  const slant = clamp(0.12 + 0.22 * random.normal(), 0.6);
  const angle = clamp(0.12 * random.normal(), 0.35);
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const centerX = SIDE / 2 + clamp(random.normal(), 2.5);
  const centerY = SIDE / 2 + clamp(random.normal(), 2.5);
  return (out, at, x, y) => {
    const v = (y - 0.5) * height;
    const u = (x - 0.5) * width - slant * v;
    out[at] = centerX + u * cos - v * sin;
    out[at + 1] = centerY + u * sin + v * cos;
  };
}

/** Bends each line slightly by a point beside its middle, as a hand would. The corners stay. */
function bendLines(points: readonly number[], random: RandomStream): number[] {
  const bent = [points[0] as number, points[1] as number];
  for (let at = 0; at + 3 < points.length; at += 2) {
    const [x0, y0, x1, y1] = points.slice(at, at + 4) as [number, number, number, number];
    const sag = clamp(0.05 * random.normal(), 0.12);
    const bend = [x0, y0, (x0 + x1) / 2 - sag * (y1 - y0), (y0 + y1) / 2 + sag * (x1 - x0), x1, y1];
    bent.push(...smooth(bend, false, 3).slice(2));
  }
  return bent;
}

/** Draws a short stray mark at a random place. */
function drawStrayMark(image: Uint8Array, random: RandomStream, pen: Pen): void {
  const x = uniformBetween(random, 3, SIDE - 3);
  const y = uniformBetween(random, 3, SIDE - 3);
  const mark = [x, y, x + 2 * random.normal(), y + 2 * random.normal()];
  drawPolyline(image, SIDE, SIDE, mark, { ...pen, radius: pen.radius / 2 });
}

/** Adds noise of a random strength to the image; one random word serves four pixels. */
function addNoise(image: Uint8Array, random: RandomStream): void {
  const strength = 0.3 * Math.max(0, random.uniform() - 0.4);
  if (strength === 0) return;
  for (let at = 0; at < PIXELS; at += 4) {
    let word = random.uint32();
    for (let pixel = at; pixel < at + 4; pixel++) {
      const grain = ((word & 0xff) - 127.5) * strength;
      word >>>= 8;
      image[pixel] = Math.max(0, Math.min(255, Math.round((image[pixel] as number) + grain)));
    }
  }
}

function uniformBetween(random: RandomStream, low: number, high: number): number {
  return low + (high - low) * random.uniform();
}

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}
