import type { TensorValues } from './tensors.ts';
import type { Job } from './job.ts';

/** Number of classes that a job's model tells apart. */
export const classesOf = ({ targets }: Pick<Job, 'targets'>): number => targets[0]?.classes ?? 0;

/** Class of each sample. */
export const labelsOf = ({ targets }: { readonly targets: readonly TensorValues[] }): TensorValues =>
  targets[0] ?? new Uint8Array(0);

/** Loss and number of correct predictions of some samples. */
export interface Score {
  /** Sum, not mean, of the categorical cross-entropy, in nats. */
  readonly lossSum: number;
  /** Number of samples whose label has the largest logit. */
  readonly correct: number;
}

/** Sum of two scores, in double precision. */
export const addScores = (left: Score, right: Score): Score => ({
  lossSum: left.lossSum + right.lossSum,
  correct: left.correct + right.correct,
});

/**
 * Score with the categorical cross-entropy of softmax(logits), logsumexp(logits) - logits[label], in double precision.
 * @param logits [samples, classes], row-major
 * @param labels [samples]
 */
export function scoreLogits(logits: ArrayLike<number>, labels: TensorValues, classes: number): Score {
  let lossSum = 0;
  let correct = 0;
  labels.forEach((label, sample) => {
    const row = sample * classes;
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if ((logits[row + c] as number) > (logits[row + best] as number)) best = c;
    }
    const max = logits[row + best] as number;
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp((logits[row + c] as number) - max);
    lossSum += Math.log(sum) + max - (logits[row + label] as number);
    if (best === label) correct++;
  });
  return { lossSum, correct };
}
