/** Loss and hits of some samples. */
export interface Score {
  /** Sum, not mean, of the categorical cross-entropy, in nats. */
  readonly lossSum: number;
  /** Samples whose largest logit is their label's. */
  readonly correct: number;
}

/** In double precision. */
export const addScores = (left: Score, right: Score): Score => ({
  lossSum: left.lossSum + right.lossSum,
  correct: left.correct + right.correct,
});

/**
 * Categorical cross-entropy of softmax(logits), in double precision: logsumexp(logits) - logits[label].
 * @param logits [samples, classes], row-major
 * @param labels [samples]
 */
export function scoreLogits(logits: ArrayLike<number>, labels: Uint8Array, classes: number): Score {
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
