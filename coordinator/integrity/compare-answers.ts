import { SCALE_BLOCK_SIZE } from '../../shared/codec/kernels/codec-kernels.ts';
import type { Score } from '../../shared/model/loss.ts';
import type { Answer, GradientAnswer, GradientBucket } from './answer.ts';

/**
 * Engines round differently, and a max-pool or a ReLU that decides differently moves a gradient: by 5e-4 of its norm over 128
 * samples, by more over few. Phones with half precision are further off. A turned sign is off by 2, a factor of 2 by 1.
 */
const NORM_TOLERANCE = 0.05;
const SINGLE_SAMPLE_TOLERANCE = 0.5;
/** Below this, for each sample, a gradient is rounding. */
const ROUNDING_TOLERANCE = 1e-6;
/** A scale is rounded to float32. */
const STEP_SLACK = 1.001;

/** How far an answer is from what the coordinator has computed itself. */
export interface Comparison {
  readonly differs: boolean;
  /** What is compared, its relative difference and the most that honest engines differ by. */
  readonly quantity: 'gradient' | 'loss' | 'number of correct samples';
  readonly difference: number;
  readonly tolerance: number;
}

/** What honest engines may differ by, as a part of the norm. */
export const toleranceFor = (samples: number): number => NORM_TOLERANCE + SINGLE_SAMPLE_TOLERANCE / samples;

/**
 * Compares a training answer with the coordinator's own.
 * @param gradient the coordinator's, whole
 * @returns null if an unread payload before this one makes a comparison impossible
 */
export function compareGradients(
  answer: GradientAnswer,
  own: Score & { readonly gradient: Float32Array },
): Comparison | null {
  if (answer.buckets.some(({ quantizationLoss }) => quantizationLoss?.previousSteps === null)) return null;
  const samples = answer.to - answer.from;
  const tolerance = toleranceFor(samples);
  let squaredExcess = 0;
  for (const part of answer.buckets) squaredExcess += computeSquaredExcess(part, own.gradient);
  const norm = euclideanNorm(own.gradient);
  const difference =
    Math.max(0, Math.sqrt(squaredExcess) - ROUNDING_TOLERANCE * samples) / Math.max(norm, Number.MIN_VALUE);
  // Not below: an excess that overflows is one.
  if (!(difference <= tolerance)) return { differs: true, quantity: 'gradient', difference, tolerance };
  const scores = compareScores(answer, own);
  return scores.differs ? scores : { differs: false, quantity: 'gradient', difference, tolerance };
}

/** Compares loss and hits of any answer with the coordinator's own. */
export function compareScores(answer: Answer, own: Score): Comparison {
  const samples = answer.to - answer.from;
  const tolerance = toleranceFor(samples);
  const lossDifference =
    Math.max(0, Math.abs(answer.lossSum - own.lossSum) - ROUNDING_TOLERANCE * samples) /
    Math.max(own.lossSum, Number.MIN_VALUE);
  if (!(lossDifference <= tolerance)) {
    return { differs: true, quantity: 'loss', difference: lossDifference, tolerance };
  }
  const correctDifference = Math.abs(answer.correct - own.correct) / samples;
  // One sample may lie between two classes.
  const correctTolerance = Math.max(1 / samples, NORM_TOLERANCE);
  return correctDifference > correctTolerance
    ? {
        differs: true,
        quantity: 'number of correct samples',
        difference: correctDifference,
        tolerance: correctTolerance,
      }
    : { differs: false, quantity: 'loss', difference: lossDifference, tolerance };
}

/** Squares of the differences, less what quantization explains: half a step of this payload and half a step of the one before. */
function computeSquaredExcess(
  { offset, values, quantizationLoss }: GradientBucket,
  own: Float32Array,
): number {
  let sum = 0;
  if (quantizationLoss === null) {
    for (let i = 0; i < values.length; i++) sum += ((values[i] as number) - (own[offset + i] as number)) ** 2;
    return sum;
  }
  for (let from = 0, block = 0; from < values.length; from += SCALE_BLOCK_SIZE, block++) {
    const explained =
      (STEP_SLACK * ((quantizationLoss.steps[block] ?? 0) + (quantizationLoss.previousSteps?.[block] ?? 0))) /
      2;
    const to = Math.min(values.length, from + SCALE_BLOCK_SIZE);
    for (let i = from; i < to; i++) {
      const excess = Math.abs((values[i] as number) - (own[offset + i] as number)) - explained;
      if (!(excess <= 0)) sum += excess * excess;
    }
  }
  return sum;
}

/** In float64, whose squares do not overflow. */
function euclideanNorm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value ** 2;
  return Math.sqrt(sum);
}
