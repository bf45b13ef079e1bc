import type { Optimizer } from './optimizer.ts';

/**
 * Optimizer that never changes the weights, for callers that need only gradients.
 *
 * @example
 * const { gradientSum } = await stepRunner.run({ step, samples, split, optimizer: fixedWeights(weights) });
 */
export function fixedWeights(weights: Float32Array): Optimizer {
  return {
    weights,
    committedWeights: weights,
    averagedWeights: weights,
    gradientSum: new Float32Array(weights.length),
    state: {},
    plateau: null,
    penalty: () => 0,
    learningRateAt: () => 0,
    setLearningRate: () => undefined,
    needsWholeGradient: () => false,
    begin: () => undefined,
    apply: () => undefined,
    commit: () => undefined,
    rollback: () => undefined,
  };
}
