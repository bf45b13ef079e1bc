import { SCALE_BLOCK_SIZE } from '../../shared/codec/kernels/codec-kernels.ts';
import type { Score, Scoring } from '../../shared/model/scoring.ts';
import type { Answer, GradientAnswer, GradientBucket } from './answer.ts';

/**
 * Honest engines round differently. A different decision of a max-pool or ReLU changes a gradient by 5e-4 of its norm over 128
 * samples, and by more over fewer samples or with half precision. A wrong sign changes it by 2, a factor of 2 by 1.
 */
const NORM_TOLERANCE = 0.05;
const SINGLE_SAMPLE_TOLERANCE = 0.5;
/** Absolute difference for each sample that rounding can explain. */
const ROUNDING_TOLERANCE = 1e-6;
/** Allowance for scales, which are rounded to float32. */
const STEP_SLACK = 1.001;

/** Comparison of an answer with the coordinator's own result. */
export interface Comparison {
  readonly differs: boolean;
  /** Quantity that differs most from the coordinator's. */
  readonly quantity: string;
  /** Relative difference of the quantity. */
  readonly difference: number;
  /** Maximum relative difference between honest engines. */
  readonly tolerance: number;
}

/** Maximum difference between honest engines, as a fraction of the norm. */
export const toleranceFor = (samples: number): number => NORM_TOLERANCE + SINGLE_SAMPLE_TOLERANCE / samples;

/**
 * Compares a training answer with the coordinator's own.
 * @param own score and whole gradient of the coordinator
 * @returns null if the payload before was not decoded, so that its residual is unknown
 */
export function compareGradients(
  answer: GradientAnswer,
  own: Score & { readonly gradient: Float32Array },
  scoring: Pick<Scoring, 'counts' | 'errors'>,
): Comparison | null {
  if (answer.buckets.some(({ quantizationLoss }) => quantizationLoss?.previousSteps === null)) return null;
  const samples = answer.to - answer.from;
  const tolerance = toleranceFor(samples);
  let squaredExcess = 0;
  for (const bucket of answer.buckets) squaredExcess += computeSquaredExcess(bucket, own.gradient);
  const norm = euclideanNorm(own.gradient);
  const difference =
    Math.max(0, Math.sqrt(squaredExcess) - ROUNDING_TOLERANCE * samples) / Math.max(norm, Number.MIN_VALUE);
  // Also true for NaN, after an overflow.
  if (!(difference <= tolerance)) return { differs: true, quantity: 'gradient', difference, tolerance };
  const scores = compareScores(answer, own, scoring);
  return scores.differs ? scores : { differs: false, quantity: 'gradient', difference, tolerance };
}

/** Compares loss and metrics of any answer with the coordinator's own, apart from histograms and sums that can be negative. */
export function compareScores(
  answer: Answer,
  own: Score,
  { counts, errors }: Pick<Scoring, 'counts' | 'errors'>,
): Comparison {
  const samples = answer.to - answer.from;
  const tolerance = toleranceFor(samples);
  const differenceOf = (sum: number, ownSum: number): number =>
    Math.max(0, Math.abs(sum - ownSum) - ROUNDING_TOLERANCE * samples) / Math.max(ownSum, Number.MIN_VALUE);
  const sumOf = ({ metrics }: Pick<Score, 'metrics'>, index: number): number => metrics[index] ?? NaN;
  const lossDifference = differenceOf(answer.lossSum, own.lossSum);
  // The size of a loss that is not positive says nothing about the terms that it is the sum of.
  if (own.lossSum > 0 && !(lossDifference <= tolerance)) {
    return { differs: true, quantity: 'loss', difference: lossDifference, tolerance };
  }
  for (const { name, index } of errors) {
    // Where a metric is not defined, engines whose outputs round differently may disagree on whether it is.
    if (Number.isNaN(own.metrics[index])) continue;
    const difference = differenceOf(sumOf(answer, index), sumOf(own, index));
    if (!(difference <= tolerance)) return { differs: true, quantity: name, difference, tolerance };
  }
  // One sample may be on the boundary between two classes.
  const countTolerance = Math.max(1 / samples, NORM_TOLERANCE);
  for (const { name, index, maxPerSample } of counts) {
    const difference = Math.abs(sumOf(answer, index) - sumOf(own, index)) / (samples * maxPerSample);
    if (difference <= countTolerance) continue;
    const quantity = name === 'accuracy' ? 'number of correct samples' : name;
    return { differs: true, quantity, difference, tolerance: countTolerance };
  }
  return { differs: false, quantity: 'loss', difference: lossDifference, tolerance };
}

/** Sum of squared differences beyond the quantization error: half a step of this payload and half a step of the one before. */
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
    const quantizationError =
      (STEP_SLACK * ((quantizationLoss.steps[block] ?? 0) + (quantizationLoss.previousSteps?.[block] ?? 0))) /
      2;
    const to = Math.min(values.length, from + SCALE_BLOCK_SIZE);
    for (let i = from; i < to; i++) {
      const excess = Math.abs((values[i] as number) - (own[offset + i] as number)) - quantizationError;
      if (!(excess <= 0)) sum += excess * excess;
    }
  }
  return sum;
}

/** Euclidean norm in float64, since squares of float32 may overflow. */
function euclideanNorm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value ** 2;
  return Math.sqrt(sum);
}
