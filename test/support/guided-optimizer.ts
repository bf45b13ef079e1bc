import type { AppliedStep, Optimizer } from '../../coordinator/optimizer/optimizer.ts';
import type { Range } from '../../shared/util/range.ts';

/**
 * Optimizer that sums a step's gradients but updates the weights with those of a reference. Rounding alone would make the
 * weights of two runs differ more and more.
 * @param reference returns the gradient of the current step, or null to use the sum
 */
export function guidedOptimizer(optimizer: Optimizer, reference: () => Float32Array | null): Optimizer {
  const { weights, state } = optimizer;
  const gradientSum = new Float32Array(weights.length);
  return {
    weights,
    get averagedWeights() {
      return optimizer.averagedWeights;
    },
    plateau: null,
    penalty: () => 0,
    learningRateAt: (step) => optimizer.learningRateAt(step),
    setLearningRate: (learningRate) => optimizer.setLearningRate(learningRate),
    needsWholeGradient: () => false,
    get committedWeights() {
      return optimizer.committedWeights;
    },
    gradientSum,
    state,
    begin: () => optimizer.begin(),
    apply(step: AppliedStep, range: Range = { from: 0, to: weights.length }) {
      const gradient = reference() ?? gradientSum;
      optimizer.gradientSum.set(gradient.subarray(range.from, range.to), range.from);
      optimizer.apply(step, range);
    },
    commit: () => optimizer.commit(),
    rollback: () => optimizer.rollback(),
  };
}
