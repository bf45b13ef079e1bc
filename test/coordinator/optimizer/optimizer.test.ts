import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
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

describe("Adadelta by Keras' rule", () => {
  it.each(reference.settings)(
    'gives what Keras gives, with learning rate $learningRate, rho $rho, epsilon $epsilon',
    ({ parameters, ...settings }) => {
      const weights = Float32Array.from(reference.initial);
      const optimizer = createOptimizer({ name: 'adadelta', ...settings }, trainable(weights.length));
      reference.gradients.forEach((gradient, step) => {
        optimizer.step(weights, Float32Array.from(gradient, Math.fround), 1);
        parameters[step]!.forEach((expected, i) => {
          const scale = expected === 0 ? 1 : Math.abs(expected);
          expect(Math.abs(weights[i]! - expected) / scale).toBeLessThan(1e-5);
        });
      });
    },
  );

  it('moves a parameter by 0.000447 at first for a gradient of 0.1, and remembers the square of that', () => {
    const weights = Float32Array.of(1);
    const optimizer = createOptimizer(keras12, trainable(1));
    optimizer.step(weights, Float32Array.of(0.1), 1);
    // a = 0.05 * 0.1^2 = 5e-4; u = 0.1 * sqrt(1e-8 / (5e-4 + 1e-8))
    const update = 0.1 * Math.sqrt(1e-8 / (5e-4 + 1e-8));
    expect(1 - weights[0]!).toBeCloseTo(update, 7);
    expect(optimizer.state.meanSquareGradient![0]).toBeCloseTo(5e-4, 9);
    expect(optimizer.state.meanSquareUpdate![0]! / (0.05 * update ** 2)).toBeCloseTo(1, 5);
  });

  it('moves it by 0.00141 at first with rho 0.95 and epsilon 1e-7, in proportion to the learning rate', () => {
    const moved = (learningRate: number): number => {
      const weights = Float32Array.of(0);
      const settings = { ...keras12, learningRate, epsilon: 1e-7 };
      createOptimizer(settings, trainable(1)).step(weights, Float32Array.of(0.1), 1);
      return -weights[0]!;
    };
    expect(moved(1)).toBeCloseTo(0.001414, 6);
    expect(moved(0.5)).toBeCloseTo(0.000707, 6);
  });

  it('applies the mean over the samples: twice the sum over twice the samples is the same step', () => {
    const step = (sum: number[], samples: number): number[] => {
      const weights = Float32Array.of(1, 2, 3);
      createOptimizer(keras12, trainable(3)).step(weights, Float32Array.from(sum), samples);
      return [...weights];
    };
    expect(step([1, -2, 0.5], 4)).toEqual(step([2, -4, 1], 8));
  });

  it('leaves a parameter whose gradient is zero', () => {
    const weights = Float32Array.of(5);
    const optimizer = createOptimizer(keras12, trainable(1));
    for (let i = 0; i < 3; i++) optimizer.step(weights, Float32Array.of(0), 8);
    expect(weights[0]).toBe(5);
  });
});

it.each([[5], [8191], [20001]])(
  "%i weights and a sum in the optimizer's own memory make the same bits as elsewhere, in parts too",
  (size) => {
    const [near, far] = [
      createOptimizer(keras12, trainable(size)),
      createOptimizer(keras12, trainable(size)),
    ];
    const { weights, gradientSum } = near.resident;
    const other = { weights: new Float32Array(size), gradientSum: new Float32Array(size) };
    const middle = size >> 1;
    for (let step = 0; step < 4; step++) {
      const [one, two] = [1, 2].map((part) =>
        Float32Array.from({ length: size }, (_, i) => Math.sin((i + 1) * (step + part))),
      ) as [Float32Array, Float32Array];
      for (const sum of [gradientSum, other.gradientSum]) {
        sum.set(one);
        vectorKernels.addInto(sum, two);
      }
      expect(gradientSum).toEqual(other.gradientSum);
      for (const [from, to] of [
        [middle, size],
        [0, middle],
      ] as const) {
        near.step(weights, gradientSum, 16, { from, to });
      }
      far.step(other.weights, other.gradientSum, 16);
    }
    expect(weights).toEqual(other.weights);
    expect(near.state).toEqual(far.state);
  },
);

describe('what is not trainable', () => {
  const layout = layoutOf([
    { shape: [1], trainable: true },
    { shape: [2, 1], trainable: false },
    { shape: [1], trainable: true },
  ]);

  it('takes the mean of the changes that the samples made, and no optimizer state', () => {
    const weights = Float32Array.of(1, 10, 20, 1);
    const optimizer = createOptimizer(keras12, layout);
    optimizer.step(weights, Float32Array.of(0.4, 8, -4, 0.4), 4);
    expect([...weights.subarray(1, 3)]).toEqual([12, 19]);
    expect([...optimizer.state.meanSquareGradient!.subarray(1, 3)]).toEqual([0, 0]);
    expect(weights[0]).toBe(weights[3]);
    expect(weights[0]).toBeLessThan(1);
  });
});
