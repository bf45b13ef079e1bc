import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { optimizerFromKeras } from '../../../coordinator/optimizer/keras-config.ts';
import { resolveOptimizer } from '../../../coordinator/optimizer/optimizer-options.ts';
import { Plateau } from '../../../coordinator/optimizer/plateau.ts';
import { createSchedule } from '../../../coordinator/optimizer/schedules.ts';
import { scaleOptimizer } from '../../../coordinator/model/model.ts';
import type { EpochRecord } from '../../../shared/protocol/messages.ts';
import {
  createFor,
  decode,
  gradientOf,
  kerasOptimizers as reference,
  layoutFor,
  takesNorm,
} from '../../support/keras-optimizers.ts';
import { checkProperty } from '../../support/property.ts';

describe("the weights of Keras' optimizers", () => {
  it.each(reference.cases.filter(({ name }) => !takesNorm(name)))('$name: the same bits', (each) => {
    const optimizer = createFor(each);
    each.weights.forEach((expected, step) => {
      optimizer.gradientSum.set(gradientOf(step, layoutFor(each)));
      optimizer.apply({ step, samples: 1 });
      expect(optimizer.weights, `step ${step}`).toEqual(decode(expected));
    });
    if (each.final !== undefined) expect(optimizer.averagedWeights).toEqual(decode(each.final));
  });

  it.each(reference.cases.filter(({ name }) => takesNorm(name)))(
    '$name: to 1e-6 of the largest magnitude that a weight has had',
    (each) => {
      const optimizer = createFor(each);
      const largest = optimizer.weights.map(Math.abs);
      const compare = (actual: Float32Array, base64: string): void => {
        decode(base64).forEach((value, i) => {
          largest[i] = Math.max(largest[i]!, Math.abs(value));
          expect(Math.abs(actual[i]! - value) / largest[i]).toBeLessThan(1e-6);
        });
      };
      each.weights.forEach((expected, step) => {
        const penalty = each.penalties?.[step] ?? 0;
        expect(Math.abs(optimizer.penalty() - penalty)).toBeLessThanOrEqual(1e-6 * penalty);
        optimizer.gradientSum.set(gradientOf(step, layoutFor(each)));
        optimizer.apply({ step, samples: 1 });
        compare(optimizer.weights, expected);
      });
      if (each.final !== undefined) compare(optimizer.averagedWeights, each.final);
    },
  );
});

it.each(reference.schedules)("the schedule $name has Keras' learning rates", ({ schedule, rates }) => {
  const options = optimizerFromKeras({ class_name: 'SGD', config: { learning_rate: schedule } });
  const settings = resolveOptimizer(options, { names: [], steps: 100, adadelta: scaleOptimizer(128) });
  const rateAt = createSchedule(settings)!;
  decode(rates).forEach((expected, i) => {
    const step = reference.scheduleSteps[i]!;
    // Far below 1e-20, powers differ in the last bit.
    if (expected > 1e-20) expect(rateAt(step), `step ${step}`).toBe(expected);
    else expect(Math.abs(rateAt(step) - expected)).toBeLessThanOrEqual(1e-6 * expected);
  });
});

it.each(reference.plateaus)(
  "a plateau with $config has Keras' learning rates",
  ({ config, scores, rates }) => {
    const {
      monitor = 'val_loss' as 'val_loss' | 'val_accuracy',
      factor = 0.1,
      patience = 10,
      min_delta = 1e-4,
      cooldown = 0,
      min_lr = 0,
    } = config;
    const settings = {
      name: 'plateau' as const,
      monitor,
      factor,
      patience,
      minDelta: min_delta,
      cooldown,
      minLearningRate: min_lr,
    };
    const plateau = new Plateau(settings, 0.1);
    const actual = scores.map((score) => {
      plateau.endEpoch({ [monitor]: score } as unknown as EpochRecord);
      return plateau.state.learningRate;
    });
    expect(Float32Array.from(actual)).toEqual(decode(rates));
    expect(new Set(actual).size).toBeGreaterThan(2);
  },
);

it.each([
  ['val_auc', undefined, [0.5, 0.6, 0.6, 0.6], [0.1, 0.1, 0.1, 0.05]],
  ['val_mae', undefined, [0.5, 0.4, 0.4, 0.4], [0.1, 0.1, 0.1, 0.05]],
  ['val_mae', 'max', [0.5, 0.4, 0.3, 0.2], [0.1, 0.1, 0.05, 0.05]],
] as const)(
  'a plateau follows %s in its direction, or in the direction %s',
  (monitor, mode, scores, rates) => {
    const settings = { factor: 0.5, patience: 2, minDelta: 0, cooldown: 0, minLearningRate: 0.05 };
    const plateau = new Plateau({ name: 'plateau', monitor, mode, ...settings }, 0.1);
    const actual = scores.map((score) => {
      plateau.endEpoch({ [monitor]: score } as unknown as EpochRecord);
      return plateau.state.learningRate;
    });
    actual.forEach((rate, epoch) => expect(rate).toBeCloseTo(rates[epoch]!, 6));
  },
);

describe('a step', () => {
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 90 }), { maxLength: 6 });

  it('applied in any ranges has the bits of one that is applied at once, for rules that allow it', () => {
    checkProperty(
      fc.property(fc.constantFrom(...reference.cases), cuts, (each, offsets) => {
        const atOnce = createFor(each);
        const inRanges = createFor(each);
        fc.pre(!inRanges.needsWholeGradient(offsets));
        const ends = [layoutFor(each).length, ...offsets.toSorted((a, b) => b - a), 0];
        for (let step = 0; step < 5; step++) {
          for (const { gradientSum } of [atOnce, inRanges])
            gradientSum.set(gradientOf(step, layoutFor(each)));
          atOnce.apply({ step, samples: 3 });
          ends.slice(1).forEach((from, i) => inRanges.apply({ step, samples: 3 }, { from, to: ends[i]! }));
        }
        expect(inRanges.weights).toEqual(atOnce.weights);
        expect(inRanges.state).toEqual(atOnce.state);
      }),
      { seed: 41 },
    );
  });

  it('needs the whole gradient of a tensor for its norm, and of all tensors for the global norm', () => {
    const needs = (name: string, ...offsets: number[]): boolean =>
      createFor(reference.cases.find((each) => each.name === name)!).needsWholeGradient(offsets);
    const [, bias, conv] = layoutFor(reference.cases[0]!).slices.map(({ offset }) => offset) as [
      number,
      number,
      number,
      number,
    ];
    expect(needs('adam', 0, 3, bias + 1)).toBe(false);
    for (const name of ['sgd clipnorm', 'lamb', 'muon']) {
      expect(needs(name, 0, bias, conv)).toBe(false);
      expect(needs(name, 0, bias + 1)).toBe(true);
    }
    expect(needs('sgd global_clipnorm', 0)).toBe(false);
    expect(needs('sgd global_clipnorm', 0, bias)).toBe(true);
  });

  it.each(reference.cases)('repeated after a rollback has the same bits: $name', (each) => {
    const repeated = createFor(each);
    const straight = createFor(each);
    for (let step = 0; step < 6; step++) {
      for (const { gradientSum } of [repeated, straight]) gradientSum.set(gradientOf(step, layoutFor(each)));
      straight.apply({ step, samples: 1 });
      repeated.begin();
      repeated.apply({ step, samples: 1 });
      repeated.rollback();
      repeated.apply({ step, samples: 1 });
    }
    expect(repeated.weights).toEqual(straight.weights);
    expect(repeated.state).toEqual(straight.state);
  });
});
