import { addScores, type Score } from '../../shared/model/loss.ts';
import { splitEvenly } from '../scheduling/partition.ts';
import { BucketedSum } from './gradient-sum.ts';
import { SAMPLES_PER_EVALUATION_SHARD, sortBySample, type RunMode } from './run-mode.ts';

/**
 * Shards of any size, summed in the order of their samples, bucket by bucket.
 * @param bucketOffsets offsets where buckets begin, ascending from 0
 */
export function standardMode(bucketOffsets: readonly number[]): RunMode {
  return {
    bucketOffsets,
    microShardSize: undefined,
    hasChecksums: false,
    fingerprints: null,
    alignShares: (shares) => shares,
    splitRange: splitEvenly,
    splitEvaluation: (samples) =>
      splitEvenly({ from: 0, to: samples }, Math.ceil(samples / SAMPLES_PER_EVALUATION_SHARD)),
    createSum: (total, samples) => new BucketedSum(total, bucketOffsets, samples),
    sumScores: (scores) => sortBySample(scores).reduce<Score>(addScores, { lossSum: 0, correct: 0 }),
  };
}
