import { describe, expect, it, test } from 'vitest';
import { Scoring, type Score } from '../../../shared/model/scoring.ts';
import type { OutputSpec } from '../../../shared/model/outputs.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';
import { exampleJob } from '../protocol/examples.ts';

const topology = { class_name: 'Sequential', config: { name: 'm', layers: [] } };
const label: TensorSpec = { name: 'label', shape: [], dtype: 'uint8', classes: 3 };
const value: TensorSpec = { name: 'value', shape: [2], dtype: 'float32' };
const classes: OutputSpec = {
  name: 'a',
  shape: [3],
  loss: { name: 'sparse_categorical_crossentropy', fromLogits: true },
  metrics: [{ name: 'sparse_categorical_accuracy', label: 'accuracy' }],
};
const values: OutputSpec = {
  name: 'b',
  shape: [2],
  loss: { name: 'mean_squared_error' },
  weight: 0.5,
  metrics: [{ name: 'mean_absolute_error', label: 'mae', weighted: true }],
};
const both = new Scoring({
  topology,
  outputs: [classes, values],
  targets: [label, value],
  sampleWeights: true,
});
const shard = {
  sampleNumbers: Uint32Array.of(0, 1),
  targets: [Uint8Array.of(2, 0), Float32Array.of(1, 1, 0, 0)],
  weights: Float32Array.of(1, 3),
};
const outputs = [Float32Array.of(0, 0, 0, 9, 1, 1), Float32Array.of(2, 1, 1, 1)];

describe('the sums of several outputs', () => {
  it('are the losses of the outputs, then each metric with its weights', () => {
    const { lossSum, metrics } = both.score(outputs, shard);
    const second = Math.log(1 + 2 * Math.exp(-8));
    expect(metrics).toEqual([expect.closeTo(Math.log(3) + 3 * second, 12), 0.5 + 3, 1, 0.5 + 3, 4]);
    expect(lossSum).toBeCloseTo(metrics[0]! + 0.5 * metrics[1]!, 12);
  });

  it('give values by Keras’ names', () => {
    const score = both.score(outputs, shard);
    expect(both.names).toEqual(['a_loss', 'a_accuracy', 'b_loss', 'b_mae']);
    expect(both.means(score, 2)).toEqual({
      loss: score.lossSum / 2,
      metrics: { a_loss: score.metrics[0]! / 2, a_accuracy: 0.5, b_loss: 1.75, b_mae: 3.5 / 4 },
    });
    expect(both.values(both.zero, 2)).toEqual({ a_loss: 0, a_accuracy: 0, b_loss: 0, b_mae: 0 });
  });
});

describe('sums that no samples can have', () => {
  const one = new Scoring(exampleJob);
  const histogram = new Scoring({
    topology,
    outputs: [{ ...values, metrics: [{ name: 'auc', thresholds: 2 }] }],
    targets: [value],
  });
  const weighted = new Scoring({
    topology,
    outputs: [{ ...classes, metrics: [{ ...classes.metrics[0]!, weighted: true }] }],
    targets: [label],
    sampleWeights: true,
  });
  it.each<[string, Scoring, Score, string]>([
    ['a negative loss', one, { lossSum: -1, metrics: [1] }, 'A loss of -1 is not possible.'],
    ['a loss of NaN', one, { lossSum: NaN, metrics: [1] }, 'A loss of NaN is not possible.'],
    ['a loss beyond float32', one, { lossSum: 1e40, metrics: [1] }, 'A loss of 1e+40 is not possible.'],
    ['too few sums', one, { lossSum: 1, metrics: [] }, 'An answer has 1 sums of metrics, not 0.'],
    ['too many sums', one, { lossSum: 1, metrics: [1, 1] }, 'An answer has 1 sums of metrics, not 2.'],
    ['a sum of NaN', one, { lossSum: 1, metrics: [NaN] }, 'A sum of a metric is not finite.'],
    [
      'a sum of an error that is infinite',
      both,
      { lossSum: 1.5, metrics: [1, 1, 1, Infinity, 4] },
      'A sum of a metric is not finite.',
    ],
    [
      'a loss of an output that is NaN',
      both,
      { lossSum: 1.5, metrics: [1, NaN, 1, 1, 4] },
      'A sum of a metric is not finite.',
    ],
    [
      'weights that are NaN',
      both,
      { lossSum: 1.5, metrics: [1, 1, 1, 1, NaN] },
      'A sum of a metric is not finite.',
    ],
    [
      'buckets that are NaN',
      histogram,
      { lossSum: 1, metrics: [1, NaN, 3, 3] },
      'A sum of a metric is not finite.',
    ],
    ['a negative count', one, { lossSum: 1, metrics: [-1] }, 'A sum of accuracy is negative.'],
    ['a count above the samples', one, { lossSum: 1, metrics: [5] }, '5 of 4 samples cannot be correct.'],
    ['a negative error', both, { lossSum: 1.5, metrics: [1, 1, 1, -1, 4] }, 'A sum of b_mae is negative.'],
    [
      'a huge error',
      both,
      { lossSum: 1.5, metrics: [1, 1, 1, 1e300, 4] },
      'A sum of 1e+300 for a metric is not possible.',
    ],
    [
      'negative weights',
      both,
      { lossSum: 1.5, metrics: [1, 1, 1, 1, -4] },
      'A sum of the weights of b_mae is negative.',
    ],
    [
      'a negative loss of an output',
      both,
      { lossSum: 0, metrics: [1, -2, 1, 1, 4] },
      'A loss of -2 for b is not possible.',
    ],
    [
      'a loss that is not that of the outputs',
      both,
      { lossSum: 7, metrics: [1, 1, 1, 1, 4] },
      'A loss of 7 is not possible, as those of the outputs are 1.5.',
    ],
    [
      'buckets of too few outputs',
      histogram,
      { lossSum: 1, metrics: [1, 2, 3, 0] },
      'A sum of 6 for auc of 4 samples is not possible.',
    ],
    [
      'buckets of too many outputs',
      histogram,
      { lossSum: 1, metrics: [1, 2, 3, 3] },
      'A sum of 9 for auc of 4 samples is not possible.',
    ],
    [
      'more correct ones than the weights allow',
      weighted,
      { lossSum: 1, metrics: [3, 2] },
      '3 of 2 samples cannot be correct.',
    ],
  ])('are %s', (_, scoring, score, sentence) => {
    expect(scoring.findImpossible(score, 4)).toBe(sentence);
  });

  it('are not those of a loss that can be negative, nor of large errors', () => {
    const signed = { ...values, loss: { name: 'cosine_similarity' as const } };
    const scoring = new Scoring({ topology, outputs: [signed], targets: [value] });
    expect(scoring.findImpossible({ lossSum: -3, metrics: [1] }, 4)).toBeNull();
    expect(histogram.findImpossible({ lossSum: 1, metrics: [1, 2, 3, 2] }, 4)).toBeNull();
    expect(weighted.findImpossible({ lossSum: 1, metrics: [0.3, 0.1 + 0.2] }, 4)).toBeNull();
    expect(both.findImpossible({ lossSum: 5e59, metrics: [1, 1e60, 4, 1, 4] }, 4)).toBeNull();
  });
});

test('a metric that is not defined for a sample is NaN, which is no reason to refuse the answer', () => {
  const metrics: OutputSpec['metrics'] = [
    { name: 'poisson' },
    { name: 'pearson_correlation' },
    { name: 'mean_absolute_error' },
    { name: 'r2_score' },
  ];
  const pair = { ...value, shape: [2] };
  const scoring = new Scoring({
    topology,
    outputs: [{ ...values, shape: [2], metrics }],
    targets: [pair],
  });
  // The second output of both samples is its target.
  const shard = { sampleNumbers: new Uint32Array(2), targets: [Float32Array.of(1, 3, 2, 3)] };
  const score = scoring.score([Float32Array.of(-1, 3, 3, 3)], shard);
  expect(scoring.findImpossible(score, 2)).toBeNull();
  expect(scoring.values(score, 2)).toEqual({
    poisson: NaN,
    pearson_correlation: NaN,
    mean_absolute_error: 0.75,
    r2_score: NaN,
  });
});

test('the loss of guessing is known for one cross-entropy, and irrelevant for a loss that can be negative', () => {
  const chanceOf = (loss: OutputSpec['loss'], target = value) =>
    new Scoring({ topology, outputs: [{ ...values, loss }], targets: [target] }).chanceLoss;
  expect(new Scoring(exampleJob).chanceLoss).toBe(Math.log(2));
  expect(chanceOf({ name: 'mean_squared_error' })).toBeNull();
  expect(chanceOf({ name: 'poisson' })).toBe(Infinity);
  expect(both.chanceLoss).toBeNull();
});

test('outputs at a threshold are below it, as in Keras, also where float32 rounds it', () => {
  const metrics: OutputSpec['metrics'] = [
    { name: 'binary_accuracy', threshold: 0.3 },
    { name: 'true_positives', threshold: 0.3 },
    { name: 'f1_score', threshold: 0.3 },
    { name: 'auc', thresholds: 11 },
  ];
  const one = new Scoring({ topology, outputs: [{ ...values, metrics }], targets: [value] });
  const part = { sampleNumbers: Uint32Array.of(0, 1), targets: [Float32Array.of(1, 0, 0, 1)] };
  const score = one.score([Float32Array.of(0.3, 0.3, 0.7, 0.7)], part);
  const { binary_accuracy, true_positives, f1_score, auc } = one.values(score, 2);
  // Keras 3.15 computes these.
  expect([binary_accuracy, true_positives, auc]).toEqual([0.5, 1, 0.5]);
  expect(f1_score).toBeCloseTo(0.5, 6);
  const at = score.metrics.slice(-22).flatMap((sum, i) => (sum > 0 ? [i] : []));
  expect(at).toEqual([2, 6, 13, 17]);
});

describe('cross-entropies of a model that ends in an activation take its logits, as in Keras', () => {
  const entropies = ['categorical_crossentropy', 'binary_crossentropy'] as const;
  const ending = (activation: string, loss: OutputSpec['loss'], metrics: OutputSpec['metrics'] = []) => {
    const layers = [{ class_name: 'Dense', config: { name: 'b', units: 2, activation } }];
    return new Scoring({
      topology: { class_name: 'Sequential', config: { name: 'm', layers } },
      outputs: [{ ...values, weight: 1, loss, metrics }],
      targets: [value],
    });
  };
  const part = { sampleNumbers: Uint32Array.of(0, 1), targets: [Float32Array.of(0, 1, 1, 0)] };

  // Keras 3.15 computes these of the logits 30, -30 and 3, 1.
  test.each(['softmax', 'sigmoid'])('as metrics behind a %s', (activation) => {
    const metrics = entropies.flatMap((name) => [
      { name, label: name },
      { name, label: `${name} told of logits`, fromLogits: true },
    ]);
    const scoring = ending(activation, { name: 'binary_crossentropy' }, metrics);
    const found = Object.values(scoring.values(scoring.score([Float32Array.of(30, -30, 3, 1)], part), 2));
    [30.063463, 30.063463, 15.340463, 15.340463].forEach((expected, i) =>
      expect(found[i]).toBeCloseTo(expected, 5),
    );
  });

  // Keras 3.15 computes these of the logits 3, -3 and 2, 1.
  test.each([
    ['softmax', 'categorical_crossentropy', 3.157869],
    ['sigmoid', 'categorical_crossentropy', 3.157869],
    ['softmax', 'binary_crossentropy', 1.884341],
    ['sigmoid', 'binary_crossentropy', 1.884341],
  ] as const)('behind a %s as the loss %s, also if it is told of logits', (activation, name, expected) => {
    for (const loss of [{ name }, { name, fromLogits: true }]) {
      const { lossSum } = ending(activation, loss).score([Float32Array.of(3, -3, 2, 1)], part);
      expect(lossSum / 2).toBeCloseTo(expected, 5);
    }
  });
});
