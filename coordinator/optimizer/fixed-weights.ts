import type { Optimizer } from './optimizer.ts';

/**
 * Weights that no step changes: for gradients alone.
 *
 * @example
 * const { gradientSum } = await stepRunner.run({ step, samples, split, optimizer: fixedWeights(weights) });
 */
export function fixedWeights(weights: Float32Array): Optimizer {
  return {
    weights,
    committedWeights: weights,
    gradientSum: new Float32Array(weights.length),
    state: {},
    begin: () => undefined,
    apply: () => undefined,
    commit: () => undefined,
    rollback: () => undefined,
  };
}
