import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Scoring } from '../../shared/model/scoring.ts';
import type { Answer } from './answer.ts';

/** Maximum number of workers with unusual results of which one shard each is recomputed. */
const MAX_SUSPECTS = 2;
/** Difference of a worker's accuracy from the others' that is unusual, in standard deviations. */
const MIN_DEVIATIONS = 4;
/** Factor between a worker's loss and the others' that is unusual. */
const MIN_LOSS_FACTOR = 3;

interface Sum {
  samples: number;
  correct: number;
  lossSum: number;
}

/** Selects shards of an evaluation to recompute: a random one, and one of each worker with an unusual accuracy or loss. */
export function pickSuspectShards(
  answers: readonly Answer[],
  scoring: Pick<Scoring, 'counts'>,
  random: () => number,
): Answer[] {
  const correctIndex = scoring.counts.find(({ maxPerSample }) => maxPerSample === 1)?.index ?? null;
  const pickOne = (candidates: readonly Answer[]): Answer[] =>
    candidates.slice(Math.floor(random() * candidates.length)).slice(0, 1);
  const byWorker = new Map<WorkerId, Answer[]>();
  for (const answer of answers) byWorker.set(answer.worker, [...(byWorker.get(answer.worker) ?? []), answer]);
  const all = sumAnswers(answers, correctIndex);
  const suspects = [...byWorker]
    .map(([worker, own]) => ({ worker, score: outlierScore(sumAnswers(own, correctIndex), all) }))
    .filter(({ score }) => score >= 1)
    .toSorted((a, b) => b.score - a.score)
    .slice(0, MAX_SUSPECTS)
    .map(({ worker }): WorkerId => worker);
  return [
    ...new Set([...pickOne(answers), ...suspects.flatMap((worker) => pickOne(byWorker.get(worker) ?? []))]),
  ];
}

/** @param correctIndex sum of correct samples; null if the job has no accuracy, so that none is unusual */
function sumAnswers(answers: readonly Answer[], correctIndex: number | null): Sum {
  const sum = { samples: 0, correct: 0, lossSum: 0 };
  for (const { from, to, metrics, lossSum } of answers) {
    sum.samples += to - from;
    sum.correct += correctIndex === null ? 0 : (metrics[correctIndex] ?? 0);
    sum.lossSum += lossSum;
  }
  return sum;
}

/** Distance of one worker's results from the others'. Results of honest workers rarely reach 1. */
function outlierScore(own: Sum, all: Sum): number {
  const others = {
    samples: all.samples - own.samples,
    correct: all.correct - own.correct,
    lossSum: all.lossSum - own.lossSum,
  };
  if (own.samples === 0 || others.samples === 0) return 0;
  const accuracy = all.correct / all.samples;
  // At least half a sample: the variance is 0 if all samples are correct.
  const variance = Math.max(accuracy * (1 - accuracy), 0.5 / all.samples);
  const deviation =
    Math.abs(own.correct / own.samples - others.correct / others.samples) /
    Math.sqrt(variance * (1 / own.samples + 1 / others.samples));
  // No ratio says how unusual a negative loss is.
  if (own.lossSum < 0 || others.lossSum < 0) return deviation / MIN_DEVIATIONS;
  const ownLoss = own.lossSum / own.samples + 1e-3;
  const othersLoss = others.lossSum / others.samples + 1e-3;
  const factor = Math.abs(Math.log(ownLoss / othersLoss)) / Math.log(MIN_LOSS_FACTOR);
  return Math.max(deviation / MIN_DEVIATIONS, factor);
}
