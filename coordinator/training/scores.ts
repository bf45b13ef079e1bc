import { addScores, type Score } from '../../shared/model/loss.ts';
import { PairwiseSum } from '../../shared/model/pairwise-sum.ts';
import { microShardCount } from '../exact/aligned-blocks.ts';
import type { Range } from '../../shared/util/range.ts';

/** What was found over some samples of a round. */
export interface ShardScore extends Range, Score {}

/** Adds what is known of all parts of a round, whoever answered first. */
export type SumScores = (parts: readonly ShardScore[]) => Score;

/** One after the other. */
export const sumInOrder: SumScores = (parts) =>
  sortBySample(parts).reduce<Score>(addScores, { lossSum: 0, correct: 0 });

/** Along the tree of TreeSum. @param unit samples of a micro-shard */
export const sumPairwise =
  (unit: number): SumScores =>
  (parts) => {
    const sum = new PairwiseSum<Score>(addScores);
    for (const { lossSum, correct, ...range } of sortBySample(parts)) {
      sum.push({ lossSum, correct }, microShardCount(range, unit));
    }
    return sum.total();
  };

const sortBySample = (parts: readonly ShardScore[]): ShardScore[] =>
  parts.toSorted((a, b) => a.from - b.from);
