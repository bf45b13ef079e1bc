import { addScores, type Score } from '../../shared/model/loss.ts';
import { PairwiseSum } from '../../shared/model/pairwise-sum.ts';
import { SAMPLES_PER_EVALUATION_SHARD, sortBySample, type RunMode } from './run-mode.ts';
import { alignedBlocks, microShardCount, splitBlock } from './aligned-blocks.ts';
import type { EngineFingerprints } from './fingerprints.ts';
import { PairwiseReducer } from './pairwise-reducer.ts';

/**
 * Shards of whole micro-shards, summed along one fixed binary tree: the same bits for any number of workers.
 * @param microShardSize samples of a micro-shard
 * @param fingerprints of the engines that may take part
 */
export function exactMode(microShardSize: number, fingerprints: EngineFingerprints): RunMode {
  /** Vectors of partial sums, used again from step to step. */
  const buffers: Float32Array[] = [];
  return {
    bucketOffsets: [0],
    microShardSize,
    hasChecksums: true,
    fingerprints,
    alignShares: (shares, samples) => alignedBlocks(shares, samples, microShardSize),
    splitRange: (range, parts) => splitBlock(range, microShardSize, parts),
    splitEvaluation(samples) {
      const size =
        microShardSize *
        2 ** Math.max(0, Math.floor(Math.log2(SAMPLES_PER_EVALUATION_SHARD / microShardSize)));
      return Array.from({ length: Math.ceil(samples / size) }, (_, i) => ({
        from: i * size,
        to: Math.min(samples, (i + 1) * size),
      }));
    },
    createSum: (total, samples) => new PairwiseReducer(total, samples, microShardSize, buffers),
    sumScores(scores) {
      const sum = new PairwiseSum<Score>(addScores);
      for (const { lossSum, correct, ...range } of sortBySample(scores)) {
        sum.push({ lossSum, correct }, microShardCount(range, microShardSize));
      }
      return sum.total();
    },
  };
}
