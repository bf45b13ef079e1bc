import type { RandomStream } from '../random/stream.ts';

/** Movement of the pen, in a box of width and height 1 with y down. */
export interface Stroke {
  /** Control points: x0, y0, x1, y1, ... */
  readonly points: readonly number[];
  /** 'curve' is smooth through its points, 'loop' also joins the last point to the first, 'line' has corners. */
  readonly kind: 'curve' | 'loop' | 'line';
}

const line = (...points: number[]): Stroke => ({ points, kind: 'line' });
const curve = (...points: number[]): Stroke => ({ points, kind: 'curve' });

/** Loop through eight points of an ellipse. */
function loop(cx: number, cy: number, rx: number, ry: number): Stroke {
  const points: number[] = [];
  for (let i = 0; i < 8; i++) {
    const angle = (i * Math.PI) / 4;
    points.push(cx + rx * Math.cos(angle), cy + ry * Math.sin(angle));
  }
  return { points, kind: 'loop' };
}

/** Shape of a digit, drawn at random from the shapes in common use. */
type DigitShape = (random: RandomStream) => Stroke[];

const uniformBetween = (random: RandomStream, low: number, high: number): number =>
  low + (high - low) * random.uniform();

const zero: DigitShape = (random) => {
  const rx = uniformBetween(random, 0.28, 0.5);
  if (random.below(3) > 0) return [loop(0.5, 0.5, rx, 0.5)];
  // A hand rarely closes a zero exactly: the end passes inside or outside of the beginning.
  const end = uniformBetween(random, -0.1, 0.14);
  return [
    curve(
      ...[0.55, 0.0, 0.5 - 0.8 * rx, 0.15, 0.5 - rx, 0.5, 0.5 - 0.7 * rx, 0.86, 0.5, 1.0],
      ...[0.5 + 0.75 * rx, 0.84, 0.5 + rx, 0.48, 0.5 + 0.7 * rx, 0.13, 0.55 - end, 0.03 + Math.abs(end) / 2],
    ),
  ];
};

const one: DigitShape = (random) => {
  const shape = random.below(5);
  if (shape < 2) return [line(0.5, 0, 0.5, 1)];
  const flag = line(uniformBetween(random, 0.2, 0.36), uniformBetween(random, 0.15, 0.3), 0.52, 0, 0.52, 1);
  if (shape < 4) return [flag];
  const foot = uniformBetween(random, 0.14, 0.28);
  return [flag, line(0.52 - foot, 1, 0.52 + foot, 1)];
};

const two: DigitShape = (random) => {
  const turn = uniformBetween(random, 0.16, 0.3);
  const head = [0.12, turn, 0.3, 0.04, 0.6, 0.0, 0.86, 0.18, 0.8, 0.42];
  const shape = random.below(3);
  // With a loop where the pen turns, with a corner, or with a sagging base.
  if (shape === 0) {
    return [curve(...head, 0.5, 0.72, 0.2, 0.96, 0.08, 0.86, 0.22, 0.78, 0.5, 0.92, 0.8, 1.0, 1.0, 0.9)];
  }
  const neck = curve(...head, 0.5, 0.7, 0.08, 1.0);
  return shape === 1 ? [neck, line(0.08, 1, 0.95, 0.98)] : [neck, curve(0.08, 1, 0.4, 0.93, 0.95, 1.0)];
};

const three: DigitShape = (random) => {
  const waist = uniformBetween(random, 0.42, 0.5);
  const inner = uniformBetween(random, 0.35, 0.52);
  const belly = [0.9, waist + 0.24, 0.72, 0.95, 0.4, 1.0, 0.1, 0.87];
  if (random.below(4) === 0) {
    return [
      line(0.15, 0.02, 0.85, 0.0, inner, waist - 0.05),
      curve(inner, waist - 0.05, 0.74, waist, ...belly),
    ];
  }
  return [
    curve(0.14, 0.14, 0.42, 0.0, 0.78, 0.08, 0.82, 0.27, inner, waist),
    curve(inner, waist, 0.75, waist + 0.05, ...belly),
  ];
};

const four: DigitShape = (random) => {
  const bar = uniformBetween(random, 0.52, 0.68);
  const stem = uniformBetween(random, 0.62, 0.78);
  if (random.below(5) < 2) {
    return [line(stem, 0.0, 0.06, bar, 0.98, bar), line(stem, 0.0, stem, 1.0)];
  }
  // Open at the top: the bar is one movement with the left arm, straight or round.
  const top = uniformBetween(random, 0, 0.12);
  const arm = random.below(2) === 0 ? line : curve;
  const left = arm(0.2, top, 0.08, bar - 0.06, 0.2, bar, uniformBetween(random, 0.75, 1), bar - 0.03);
  return [left, line(stem + 0.06, uniformBetween(random, 0, 0.1), stem, 1.0)];
};

const five: DigitShape = (random) => {
  const shoulder = uniformBetween(random, 0.36, 0.46);
  const left = uniformBetween(random, 0.14, 0.28);
  const bowl = curve(
    ...[left - 0.02, shoulder + 0.03, 0.5, shoulder - 0.04, 0.84, 0.54, 0.88, 0.75],
    ...[0.68, 0.96, 0.36, 1.0, 0.06, uniformBetween(random, 0.82, 0.94)],
  );
  if (random.below(3) === 0) {
    // One movement: the top bar, down, round.
    return [line(0.88, 0.02, left + 0.02, 0.0, left - 0.02, shoulder + 0.03), bowl];
  }
  return [
    line(left + 0.04, 0.04, left - 0.02, shoulder + 0.03),
    bowl,
    line(left + 0.04, 0.04, uniformBetween(random, 0.75, 1), 0.0),
  ];
};

const six: DigitShape = (random) => {
  const top = uniformBetween(random, 0.48, 0.6);
  const start = uniformBetween(random, 0.48, 0.85);
  return [
    curve(
      ...[start, 0.0, 0.32, 0.22, 0.12, 0.55, 0.16, 0.84, 0.45, 1.0, 0.8, 0.88],
      ...[0.84, top + 0.14, 0.56, top - 0.04, 0.28, top + 0.08, 0.16, 0.82],
    ),
  ];
};

const seven: DigitShape = (random) => {
  const foot = uniformBetween(random, 0.25, 0.48);
  const top = line(0.08, uniformBetween(random, 0, 0.08), 0.9, 0.0);
  const leg =
    random.below(2) === 0 ? line(0.9, 0, foot, 1) : curve(0.9, 0.0, 0.66, 0.35, foot + 0.08, 0.68, foot, 1.0);
  const strokes = [top, leg];
  const extras = random.below(4);
  if (extras === 0) strokes.push(line(0.32, 0.52, 0.84, uniformBetween(random, 0.42, 0.5)));
  if (extras === 1) strokes.push(line(0.08, 0.02, 0.06, uniformBetween(random, 0.12, 0.22)));
  return strokes;
};

const eight: DigitShape = (random) => {
  const waist = uniformBetween(random, 0.42, 0.5);
  const upper = uniformBetween(random, 0.24, 0.36);
  const lower = uniformBetween(random, 0.32, 0.44);
  if (random.below(2) === 0) {
    return [loop(0.5, waist / 2, upper, waist / 2), loop(0.5, (1 + waist) / 2, lower, (1 - waist) / 2)];
  }
  // One movement, crossing itself at the waist.
  const gap = uniformBetween(random, 0, 0.1);
  return [
    curve(
      ...[0.5 + upper, 0.12, 0.5, 0.0, 0.5 - upper, waist / 2, 0.5, waist, 0.5 + lower, 0.76, 0.5, 1.0],
      ...[0.5 - lower, 0.78, 0.48, waist + 0.02, 0.5 + upper, waist / 2, 0.5 + upper - gap, 0.1 - gap],
    ),
  ];
};

const nine: DigitShape = (random) => {
  const belly = uniformBetween(random, 0.44, 0.56);
  const head = [0.84, 0.14, 0.5, 0.0, 0.16, 0.14, 0.14, belly - 0.14, 0.42, belly, 0.8, 0.26];
  const shape = random.below(3);
  if (shape === 0)
    return [curve(...head, 0.84, 0.14), line(0.84, 0.12, uniformBetween(random, 0.62, 0.84), 1.0)];
  if (shape === 1) return [curve(...head, 0.84, 0.14, 0.82, 0.5, 0.72, 0.78, 0.6, 1.0)];
  return [curve(...head, 0.86, 0.14, 0.84, 0.6, 0.68, 0.94, 0.4, 1.0, 0.2, 0.88)];
};

const SHAPES: readonly DigitShape[] = [zero, one, two, three, four, five, six, seven, eight, nine];

/** Strokes of a digit from 0 to 9 in a shape that `random` chooses. */
export function digitStrokes(digit: number, random: RandomStream): Stroke[] {
  const shape = SHAPES[digit];
  if (shape === undefined) throw new RangeError(`${digit} is not a digit from 0 to 9.`);
  return shape(random);
}
