import type { Score } from '../../shared/model/loss.ts';
import type { Range } from '../../shared/util/range.ts';
import type { BatchSplitter } from '../scheduling/partition.ts';
import type { EngineFingerprints } from './fingerprints.ts';
import type { GradientSum } from './gradient-sum.ts';

/** Sums over the samples of one shard. */
export interface ShardScore extends Range, Score {}

/**
 * How a run splits batches and sums what comes back. Chosen once: standardMode() is fast, exactMode() gives the same bits for any
 * number of workers.
 */
export interface RunMode extends BatchSplitter {
  /** Offsets where buckets of gradients and weights begin, ascending from 0; [0] where vectors travel whole. */
  readonly bucketOffsets: readonly number[];
  /** Whether frames have a checksum behind them. */
  readonly hasChecksums: boolean;
  /** Fingerprints of the engines that may take part; null if any may. */
  readonly fingerprints: EngineFingerprints | null;
  /** Shards of an evaluation over so many samples. */
  splitEvaluation(samples: number): Range[];
  /**
   * Sum of a batch's gradients.
   * @param total vector for the sum, overwritten
   */
  createSum(total: Float32Array, samples: number): GradientSum;
  /** Adds the scores of all shards, in an order that does not depend on which worker answered first. */
  sumScores(scores: readonly ShardScore[]): Score;
}

/** Small enough for workers to end an evaluation together, large enough for messages not to matter. */
export const SAMPLES_PER_EVALUATION_SHARD = 250;

export const sortBySample = (scores: readonly ShardScore[]): ShardScore[] =>
  scores.toSorted((a, b) => a.from - b.from);
