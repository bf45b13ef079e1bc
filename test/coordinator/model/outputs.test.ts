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
    'an unknown size',
    () => resolve('linear', [null as never, 3], values(3)),
    'with an unknown size. Give the model an input_shape.',
  ],
])('%s is refused with a sentence', (_, run, sentence) => {
  expect(run).toThrow(sentence);
});
