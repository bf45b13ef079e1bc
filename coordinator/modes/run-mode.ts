import type { Score } from '../../shared/model/scoring.ts';
import type { Range } from '../../shared/util/range.ts';
import type { BatchSplitter } from '../scheduling/partition.ts';
import type { EngineFingerprints } from './fingerprints.ts';

/** Sums over the samples of one shard. */
export interface ShardScore extends Range, Score {}

/** The sum of a batch's gradients, in an order that does not depend on which worker answers first. */
export interface GradientSum {
  /**
   * Adds a bucket of a shard's gradient, unless its samples were added before.
   * @param shard positions in the batch
   * @param values sum over the shard's samples; must not change any more
   * @param offset position of the first value in the flat vector
   * @returns ranges of the flat vector whose sum this bucket has completed, back to front
   */
  add(shard: Range, values: Float32Array, offset: number): Range[];
}

/**
 * How a run splits batches and sums answers, chosen once: standardMode() is fast, exactMode() gives the same bits for any number
 * of workers.
 */
export interface RunMode extends BatchSplitter {
  /** Offsets where buckets of gradients and weights begin, ascending from 0; [0] where vectors travel whole. */
  readonly bucketOffsets: readonly number[];
  /** Whether frames end with a checksum. */
  readonly hasChecksums: boolean;
  /** Fingerprints of the engines that may take part; null if any engine may. */
  readonly fingerprints: EngineFingerprints | null;
  /** Whether the samples of a batch may be put into another order. */
  readonly mayArrange: boolean;
  /** Splits an evaluation over this many samples into shards, one for each worker at least if there are enough samples. */
  splitEvaluation(samples: number, workers: number): Range[];
  /**
   * Creates the sum of a batch's gradients.
   * @param total vector for the sum, overwritten
   */
  createSum(total: Float32Array, samples: number): GradientSum;
  /** Adds the scores of all shards, in an order that does not depend on which worker answered first. */
  sumScores(scores: readonly ShardScore[]): Score;
}

/** Small enough that workers finish an evaluation together, large enough that messages cost little. */
export const SAMPLES_PER_EVALUATION_SHARD = 250;
/** Fewer samples are not worth a message. */
export const MIN_SAMPLES_PER_EVALUATION_SHARD = 16;
