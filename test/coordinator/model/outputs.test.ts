import { describe, expect, test } from 'vitest';
import { resolveOutputs, type OutputSettings } from '../../../coordinator/model/outputs.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';

const label = (classes: number): TensorSpec => ({ name: 'label', shape: [], dtype: 'uint8', classes });
const values = (...shape: number[]): TensorSpec => ({ name: 'value', shape, dtype: 'float32' });

/** Resolves the output of a model whose last layer has an activation. */
function resolve(activation: string, shape: number[], target: TensorSpec, settings: OutputSettings = {}) {
  const notes: string[] = [];
  const layer = { class_name: 'Dense', config: { name: 'out', units: shape.at(-1), activation } };
  const topology = { class_name: 'Sequential', config: { name: 'm', layers: [layer] } };
  const data = { name: 'made', targets: [target] };
  const { outputs, targets } = resolveOutputs(topology, [{ name: 'out', shape }], data, settings, (line) =>
    notes.push(line),
  );
  return { output: outputs[0]!, target: targets[0]!, notes };
}

describe('the loss and the metric by default', () => {
  test.each([
    ['softmax', [10], label(10), { name: 'sparse_categorical_crossentropy' }, 'sparse_categorical_accuracy'],
    [
      'softmax',
      [7, 5],
      { ...label(5), shape: [7] },
      { name: 'sparse_categorical_crossentropy' },
      'sparse_categorical_accuracy',
    ],
    [
      'linear',
      [10],
      label(10),
      { name: 'sparse_categorical_crossentropy', fromLogits: true },
      'sparse_categorical_accuracy',
    ],
    ['sigmoid', [1], label(2), { name: 'binary_crossentropy' }, 'binary_accuracy'],
    ['sigmoid', [4], values(4), { name: 'binary_crossentropy' }, 'categorical_accuracy'],
    ['softmax', [4], values(4), { name: 'categorical_crossentropy' }, 'categorical_accuracy'],
    ['linear', [2], values(2), { name: 'mean_squared_error' }, 'mean_absolute_error'],
    ['relu', [1], values(), { name: 'mean_squared_error' }, 'mean_absolute_error'],
  ] as const)('of %s with outputs [%j] and the target %o', (activation, shape, target, loss, metric) => {
    const { output, notes } = resolve(activation, [...shape], target as TensorSpec);
    expect(output).toMatchObject({ name: 'out', loss, metrics: [{ name: metric }] });
    expect(notes.length).toBe('fromLogits' in loss ? 1 : 0);
    expect(output.metrics[0]?.label).toBe(metric === 'mean_absolute_error' ? 'mae' : 'accuracy');
  });
});

test('losses and metrics have the names and options of Keras', () => {
  const settings = { loss: 'mse', metrics: ['mae', { name: 'auc', curve: 'PR' }, 'rmse'] } as const;
  const { output } = resolve('linear', [2], values(2), settings);
  expect(output.loss).toEqual({ name: 'mean_squared_error' });
  expect(output.metrics).toEqual([
    { name: 'mean_absolute_error', label: 'mae' },
    { name: 'auc', curve: 'PR' },
    { name: 'root_mean_squared_error', label: 'rmse' },
  ]);
});

test('metrics may be lists in the order of the outputs', () => {
  const settings = { metrics: [['mse'], ['mae', 'mse']] } as const;
  const layers = ['a', 'b'].map((name) => ({
    class_name: 'Dense',
    name,
    config: { name, activation: 'linear' },
  }));
  const { outputs } = resolveOutputs(
    {
      class_name: 'Functional',
      config: {
        layers,
        output_layers: [
          ['a', 0, 0],
          ['b', 0, 0],
        ],
      },
    },
    ['a', 'b'].map((name) => ({ name, shape: [1] })),
    { name: 'made', targets: [values(1), values(1)] },
    settings,
    () => undefined,
  );
  expect(outputs.map(({ metrics }) => metrics.map(({ label }) => label))).toEqual([['mse'], ['mae', 'mse']]);
});

test('classes are one-hot for the losses and metrics that take values', () => {
  const { output, target } = resolve('softmax', [10], label(8), {
    loss: { name: 'categorical_crossentropy', labelSmoothing: 0.1 },
    metrics: ['top_k_categorical_accuracy', 'accuracy'],
  });
  expect(target.classes).toBe(10);
  expect(output.loss.name).toBe('categorical_crossentropy');
  expect(resolve('softmax', [10], label(8), { loss: 'categorical_crossentropy' }).output.loss.name).toBe(
    'sparse_categorical_crossentropy',
  );
});

test.each<[string, () => unknown, string]>([
  [
    'outputs and values that do not fit',
    () => resolve('linear', [3], values(2)),
    "The model's output out is [3], and the target value of made is [2]; no loss follows from the last activation, linear. Name one with --loss, or end the model in a softmax.",
  ],
  [
    'a loss of classes for values',
    () => resolve('softmax', [3], values(3), { loss: 'sparse_categorical_crossentropy' }),
    "The model's output out is [3], and the target value of made is [3]; sparse_categorical_crossentropy takes a class for each of 3 outputs. Change the model, the data or the loss.",
  ],
  [
    'a loss of values for classes',
    () =>
      resolve('linear', [1], label(3), {
        loss: 'categorical_hinge',
        metrics: ['sparse_categorical_accuracy'],
      }),
    "The model's output out is [1], and the target label of made is a class of 3; sparse_categorical_accuracy takes a class for each of 1 outputs. Change the model, the data or the loss.",
  ],
  [
    'too few outputs',
    () => resolve('softmax', [8], label(9)),
    "The model's output is [8], but made has 9 classes.",
  ],
  [
    'an unknown loss',
    () => resolve('softmax', [8], label(8), { loss: 'mae2' }),
    'There is no loss mae2. Losses are ',
  ],
  [
    'an unknown metric',
    () => resolve('softmax', [8], label(8), { metrics: ['f2'] }),
    'There is no metric f2. Metrics are accuracy, ',
  ],
  [
    'an option that a loss does not take',
    () => resolve('linear', [1], values(1), { loss: { name: 'mean_squared_error', delta: 1 } }),
    'The loss mean_squared_error does not take the options {"name":"mean_squared_error","delta":1}.',
  ],
  [
    'an option that there is not',
    () => resolve('linear', [1], values(1), { loss: { name: 'huber', detla: 1 } as never }),
    'The loss huber does not take the options {"name":"huber","detla":1}. It takes delta.',
  ],
  [
    'an option of another type',
    () => resolve('linear', [1], values(1), { loss: { name: 'huber', delta: '1' } as never }),
    'delta is wrong: Invalid type: Expected number but received "1". It takes delta.',
  ],
  [
    'an option that a metric does not take',
    () => resolve('softmax', [8], label(8), { metrics: [{ name: 'auc', k: 1 }] }),
    'The metric auc does not take the options {"name":"auc","k":1}. It takes thresholds, curve, summation.',
  ],
  [
    'a number as loss',
    () => resolve('linear', [1], values(1), { loss: 5 as never }),
    'loss takes a loss such',
  ],
  [
    'losses without a name',
    () => resolve('linear', [1], values(1), { loss: [{ delta: 1 }] as never }),
    "loss takes losses such as 'mse' or { name: 'huber', delta: 2 }, not {\"delta\":1}.",
  ],
  [
    'one metric without a list',
    () => resolve('linear', [1], values(1), { metrics: 'mae' as never }),
    'metrics takes a list such as [\'accuracy\'], or lists by output, not "mae".',
  ],
  [
    'metrics of an output without a list',
    () => resolve('linear', [1], values(1), { metrics: { out: 'mae' } as never }),
    'metrics takes lists such as [\'accuracy\'], not "mae".',
  ],
  [
    'a number as metric',
    () => resolve('linear', [1], values(1), { metrics: [3] as never }),
    "metrics takes metrics such as 'auc'",
  ],
  [
    'a loss weight that is no number',
    () => resolve('linear', [1], values(1), { lossWeights: ['1'] as never }),
    'lossWeights takes a number of 0 or more for each output, not ["1"].',
  ],
  [
    'metrics of an output that there is not',
    () => resolve('linear', [1], values(1), { metrics: { ouput: ['mae'] } }),
    'metrics names the output ouput, but the model has the outputs out.',
  ],
  [
    'more loss weights than outputs',
    () => resolve('linear', [1], values(1), { lossWeights: [1, 2] }),
    'lossWeights has 2 entries, but the model has 1 outputs (out).',
  ],
  [
    'two metrics of one name',
    () => resolve('linear', [1], values(1), { metrics: ['mae', 'mae'] }),
    'metrics has a metric named mae, which is the name of another field of the history.',
  ],
  [
    'a metric with the name of another field',
    () => resolve('linear', [1], values(1), { metrics: [{ name: 'auc', label: 'epoch' }] }),
    'metrics has a metric named epoch, which',
  ],
  [
    'an unknown size',
    () => resolve('linear', [null as never, 3], values(3)),
    'with an unknown size. Give the model an input_shape.',
  ],
])('%s is refused with a sentence', (_, run, sentence) => {
  expect(run).toThrow(sentence);
});
