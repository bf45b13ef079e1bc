/** What two workers made of the same shard. */
export interface AuditedAnswer {
  readonly lossSum: number;
  readonly gradient: Float32Array;
}

/**
 * Engines round differently, and a max-pool or a ReLU that decides differently moves a gradient by some thousandths of
 * its norm over 128 samples, by more over few. A sign, a factor or another step's gradient is far outside.
 */
const PART_OF_NORM = 0.1;
const ONE_SAMPLE = 0.5;
/** Below this a gradient is rounding. */
const NOTHING = 1e-6;

/** Whether two answers for the same samples cannot both be honest. */
export function disagree(a: AuditedAnswer, b: AuditedAnswer, samples: number): boolean {
  const tolerance = PART_OF_NORM + ONE_SAMPLE / samples;
  const apart = Math.abs(a.lossSum - b.lossSum);
  if (apart > tolerance * Math.max(a.lossSum, b.lossSum) + NOTHING * samples) return true;
  let [squaredDifference, squaredA, squaredB] = [0, 0, 0];
  for (let i = 0; i < a.gradient.length; i++) {
    const [x, y] = [a.gradient[i] ?? 0, b.gradient[i] ?? 0];
    squaredDifference += (x - y) ** 2;
    squaredA += x * x;
    squaredB += y * y;
  }
  const norm = Math.sqrt(Math.max(squaredA, squaredB));
  return Math.sqrt(squaredDifference) > tolerance * norm + NOTHING * samples;
}
