import type { Job } from './job.ts';
import { lossDefinition } from './losses.ts';
import { isOneHot, outputWidth } from './outputs.ts';
import { sampleSize } from './tensors.ts';

/** Part by which float32 may round a probability above 1. */
const ROUNDING = 1e-6;

/**
 * Probability of each class in a prediction; null if the first output is no class, or its values are no probabilities.
 * @param values of the first output for one sample
 * @example
 * // A sigmoid for two classes: class 1 is the likely one.
 * classProbabilities(job, [0.9]) // [0.1, 0.9]
 */
export function classProbabilities(
  { outputs: [output], targets: [target] }: Pick<Job, 'outputs' | 'targets'>,
  values: ArrayLike<number>,
): number[] | null {
  if (output === undefined || target === undefined) return null;
  const probabilities = Array.from(values);
  if (!probabilities.every((value) => value >= 0 && value <= 1 + ROUNDING)) return null;
  const [first = 0] = probabilities;
  const isBinary = target.classes === 2 && lossDefinition(output.loss.name).activation === 'sigmoid';
  if (sampleSize(output) === 1) return isBinary ? [1 - first, first] : null;
  return isOneHot(output, target) && sampleSize(output) === outputWidth(output) ? probabilities : null;
}
