import { addScores, type Score } from '../../shared/model/loss.ts';
import { TreeSum } from '../../shared/model/sum-tree.ts';
import { leavesOf } from './exact/subtrees.ts';
import type { Range } from '../../shared/range.ts';

/** What was found over some samples of a round. */
export interface PartScore extends Range, Score {}

/** Adds what is known of all parts of a round, whoever answered first. */
export type SumScores = (parts: readonly PartScore[]) => Score;

/** One after the other. */
export const sumInOrder: SumScores = (parts) =>
  inOrder(parts).reduce<Score>(addScores, { lossSum: 0, correct: 0 });

/** Along the tree of TreeSum. @param unit samples of a micro-shard */
export const sumAlongTree =
  (unit: number): SumScores =>
  (parts) => {
    const sum = new TreeSum<Score>(addScores);
    for (const { lossSum, correct, ...range } of inOrder(parts)) {
      sum.push({ lossSum, correct }, leavesOf(range, unit));
    }
    return sum.total();
  };

const inOrder = (parts: readonly PartScore[]): PartScore[] => parts.toSorted((a, b) => a.from - b.from);
