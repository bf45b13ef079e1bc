import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createOptimizer, type Optimizer } from '../../../coordinator/optimizer/optimizer.ts';
import { vectorKernels } from '../../../coordinator/optimizer/kernels/vector.ts';
import type { Job } from '../../../shared/model/job.ts';
import { layoutOf } from '../../../shared/model/layout.ts';

interface Reference {
  readonly initial: number[];
  readonly gradients: number[][];
  readonly settings: { learningRate: number; rho: number; epsilon: number; parameters: number[][] }[];
}

const reference = JSON.parse(
  readFileSync(new URL('../../reference/keras-adadelta.json', import.meta.url), 'utf8'),
) as Reference;

const keras12: Job['optimizer'] = { name: 'adadelta', learningRate: 1, rho: 0.95, epsilon: 1e-8 };
const trainable = (size: number) => layoutOf([{ shape: [size], trainable: true }]);

/** Applies a gradient sum. */
function apply(optimizer: Optimizer, gradientSum: ArrayLike<number>, samples: number): void {
  optimizer.gradientSum.set(gradientSum);
  optimizer.apply({ step: 0, samples });
}

describe("Adadelta by Keras' rule", () => {
  it.each(reference.settings)(
    'gives the parameters of Keras with learning rate $learningRate, rho $rho, epsilon $epsilon',
    ({ parameters, ...settings }) => {
      const optimizer = createOptimizer(
        { name: 'adadelta', ...settings },
        trainable(reference.initial.length),
      );
      const { weights } = optimizer;
      weights.set(reference.initial);
      reference.gradients.forEach((gradient, step) => {
        apply(optimizer, gradient, 1);
        parameters[step]!.forEach((expected, i) => {
          const scale = expected === 0 ? 1 : Math.abs(expected);
          expect(Math.abs(weights[i]! - expected) / scale).toBeLessThan(1e-5);
        });
      });
    },
  );

  it('first moves a parameter by 0.000447 for a gradient of 0.1, and keeps the mean square of the update', () => {
    const optimizer = createOptimizer(keras12, trainable(1));
    const { weights } = optimizer;
    weights[0] = 1;
    apply(optimizer, [0.1], 1);
    // a = 0.05 * 0.1^2 = 5e-4; u = 0.1 * sqrt(1e-8 / (5e-4 + 1e-8))
    const update = 0.1 * Math.sqrt(1e-8 / (5e-4 + 1e-8));
    expect(1 - weights[0]).toBeCloseTo(update, 7);
    expect(optimizer.state.meanSquareGradient![0]).toBeCloseTo(5e-4, 9);
    expect(optimizer.state.meanSquareUpdate![0]! / (0.05 * update ** 2)).toBeCloseTo(1, 5);
  });

  it('first moves it by 0.00141 with rho 0.95 and epsilon 1e-7, in proportion to the learning rate', () => {
    const firstUpdate = (learningRate: number): number => {
      const optimizer = createOptimizer({ ...keras12, learningRate, epsilon: 1e-7 }, trainable(1));
      apply(optimizer, [0.1], 1);
      return -optimizer.weights[0]!;
    };
    expect(firstUpdate(1)).toBeCloseTo(0.001414, 6);
    expect(firstUpdate(0.5)).toBeCloseTo(0.000707, 6);
  });

  it('applies the mean over the samples: twice the sum over twice the samples is the same step', () => {
    const step = (sum: number[], samples: number): number[] => {
      const optimizer = createOptimizer(keras12, trainable(3));
      optimizer.weights.set([1, 2, 3]);
      apply(optimizer, sum, samples);
      return [...optimizer.weights];
    };
    expect(step([1, -2, 0.5], 4)).toEqual(step([2, -4, 1], 8));
  });

  it('does not change a parameter whose gradient is zero', () => {
    const optimizer = createOptimizer(keras12, trainable(1));
    optimizer.weights[0] = 5;
    for (let i = 0; i < 3; i++) apply(optimizer, [0], 8);
    expect(optimizer.weights[0]).toBe(5);
  });
});

it.each([[5], [8191], [20001]])(
  '%i weights updated in two ranges have the same bits as updated at once',
  (size) => {
    const inRanges = createOptimizer(keras12, trainable(size));
    const atOnce = createOptimizer(keras12, trainable(size));
    const elsewhere = new Float32Array(size);
    const middle = size >> 1;
    for (let step = 0; step < 4; step++) {
      const [one, two] = [1, 2].map((part) =>
        Float32Array.from({ length: size }, (_, i) => Math.sin((i + 1) * (step + part))),
      ) as [Float32Array, Float32Array];
      for (const sum of [inRanges.gradientSum, atOnce.gradientSum, elsewhere]) {
        sum.set(one);
        vectorKernels.addInto(sum, two);
      }
      // Sums in the optimizer's own memory and elsewhere have the same bits.
      expect(inRanges.gradientSum).toEqual(elsewhere);
      inRanges.apply({ step, samples: 16 }, { from: middle, to: size });
      inRanges.apply({ step, samples: 16 }, { from: 0, to: middle });
      atOnce.apply({ step, samples: 16 });
    }
    expect(inRanges.weights).toEqual(atOnce.weights);
    expect(inRanges.state).toEqual(atOnce.state);
  },
);

describe('a transaction', () => {
  const vectorsOf = ({ weights, state }: Optimizer): number[][] =>
    [weights, ...Object.values(state)].map((vector) => [...vector]);

  function openTransaction() {
    const optimizer = createOptimizer(keras12, trainable(4));
    optimizer.weights.set([1, 2, 3, 4]);
    apply(optimizer, [1, 1, 1, 1], 2);
    const before = vectorsOf(optimizer);
    optimizer.begin();
    optimizer.gradientSum.set([5, 6, 7, 8]);
    optimizer.apply({ step: 1, samples: 2 }, { from: 2, to: 4 });
    return { optimizer, before };
  }

  it('keeps the committed weights readable until it is committed', () => {
    const { optimizer, before } = openTransaction();
    expect([...optimizer.committedWeights]).toEqual(before[0]);
    expect([...optimizer.weights]).not.toEqual(before[0]);
    optimizer.apply({ step: 1, samples: 2 }, { from: 0, to: 2 });
    optimizer.commit();
    expect(optimizer.committedWeights).toBe(optimizer.weights);
    expect([...optimizer.weights]).not.toEqual(before[0]);
  });

  it('restores weights and state when it is rolled back', () => {
    const { optimizer, before } = openTransaction();
    optimizer.rollback();
    expect(vectorsOf(optimizer)).toEqual(before);
    expect(optimizer.committedWeights).toBe(optimizer.weights);
    // A second rollback, and one after a commit, change nothing.
    optimizer.rollback();
    optimizer.begin();
    optimizer.apply({ step: 2, samples: 2 });
    optimizer.commit();
    const after = vectorsOf(optimizer);
    optimizer.rollback();
    expect(vectorsOf(optimizer)).toEqual(after);
  });
});

describe('a moving average', () => {
  it('takes the place of trained values alone, and stays that of the last committed step', () => {
    const layout = layoutOf([
      { shape: [2], trainable: true },
      { shape: [1], trainable: false },
    ]);
    const settings = { name: 'sgd', learningRate: 1, momentum: 0, nesterov: false } as const;
    const optimizer = createOptimizer({ ...settings, ema: { momentum: 0.5 } }, layout);
    const step = (number: number): void => {
      optimizer.gradientSum.set([-1, -2, 3]);
      optimizer.apply({ step: number, samples: 1 });
    };
    step(0);
    step(1);
    expect([...optimizer.averagedWeights]).toEqual([1.5, 3, 6]);
    optimizer.begin();
    step(2);
    expect([...optimizer.averagedWeights]).toEqual([1.5, 3, 6]);
    optimizer.commit();
    expect([...optimizer.averagedWeights]).toEqual([2.25, 4.5, 9]);
    expect([...optimizer.weights]).toEqual([3, 6, 9]);
  });
});

describe('values that are not trainable', () => {
  const layout = layoutOf([
    { shape: [1], trainable: true },
    { shape: [2, 1], trainable: false },
    { shape: [1], trainable: true },
  ]);

  it('add the mean of the changes that the samples made, and keep no optimizer state', () => {
    const optimizer = createOptimizer(keras12, layout);
    const { weights } = optimizer;
    weights.set([1, 10, 20, 1]);
    apply(optimizer, [0.4, 8, -4, 0.4], 4);
    expect([...weights.subarray(1, 3)]).toEqual([12, 19]);
    expect([...optimizer.state.meanSquareGradient!.subarray(1, 3)]).toEqual([0, 0]);
    expect(weights[0]).toBe(weights[3]);
    expect(weights[0]).toBeLessThan(1);
  });
});
