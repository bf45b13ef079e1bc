import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Answer } from './answer.ts';

/** Workers whose results are unlike those of all others; of each, one shard is recomputed. */
const MAX_SUSPECTS = 2;
/** Standard deviations, or a factor of the loss, from which a worker's results are unlike the others'. */
const MIN_DEVIATIONS = 4;
const MIN_LOSS_FACTOR = 3;

interface Sum {
  samples: number;
  correct: number;
  lossSum: number;
}

/**
 * Shards of an evaluation that are worth recomputing: any one of all, and one of each worker whose accuracy or loss is unlike
 * the others'.
 */
export function pickSuspectShards(answers: readonly Answer[], random: () => number): Answer[] {
  const oneOf = (among: readonly Answer[]): Answer[] =>
    among.slice(Math.floor(random() * among.length)).slice(0, 1);
  const byWorker = new Map<WorkerId, Answer[]>();
  for (const answer of answers) byWorker.set(answer.worker, [...(byWorker.get(answer.worker) ?? []), answer]);
  const all = sumAnswers(answers);
  const suspects = [...byWorker]
    .map(([worker, own]) => ({ worker, oddity: outlierScore(sumAnswers(own), all) }))
    .filter(({ oddity }) => oddity >= 1)
    .toSorted((a, b) => b.oddity - a.oddity)
    .slice(0, MAX_SUSPECTS)
    .map(({ worker }): WorkerId => worker);
  return [
    ...new Set([...oneOf(answers), ...suspects.flatMap((worker) => oneOf(byWorker.get(worker) ?? []))]),
  ];
}

function sumAnswers(answers: readonly Answer[]): Sum {
  const sum = { samples: 0, correct: 0, lossSum: 0 };
  for (const { from, to, correct, lossSum } of answers) {
    sum.samples += to - from;
    sum.correct += correct;
    sum.lossSum += lossSum;
  }
  return sum;
}

/** How far one worker's results are from those of the others: 1 is as far as honest ones hardly are. */
function outlierScore(own: Sum, all: Sum): number {
  const others = {
    samples: all.samples - own.samples,
    correct: all.correct - own.correct,
    lossSum: all.lossSum - own.lossSum,
  };
  if (own.samples === 0 || others.samples === 0) return 0;
  const common = all.correct / all.samples;
  // Half a sample: where all are correct, the variance is none.
  const variance = Math.max(common * (1 - common), 0.5 / all.samples);
  const deviation =
    Math.abs(own.correct / own.samples - others.correct / others.samples) /
    Math.sqrt(variance * (1 / own.samples + 1 / others.samples));
  const [a, b] = [own.lossSum / own.samples + 1e-3, others.lossSum / others.samples + 1e-3];
  const factor = Math.abs(Math.log(a / b)) / Math.log(MIN_LOSS_FACTOR);
  return Math.max(deviation / MIN_DEVIATIONS, factor);
}
