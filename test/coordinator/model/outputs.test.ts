import { describe, expect, test } from 'vitest';
import type { OutputSettings } from '../../../coordinator/model/output-settings.ts';
import { resolveOutputs } from '../../../coordinator/model/outputs.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';

const label = (classes: number): TensorSpec => ({ name: 'label', shape: [], dtype: 'uint8', classes });
const values = (...shape: number[]): TensorSpec => ({ name: 'value', shape, dtype: 'float32' });

/** Resolves a model with a softmax a and a linear output b. */
function resolveBoth(settings: OutputSettings) {
  const topology = { class_name: 'Sequential', config: { name: 'm', layers: [] } };
  const data = { name: 'made', targets: [label(3), { ...values(2), name: 'size' }] };
  const outputs = [
    { name: 'a', shape: [3] },
    { name: 'b', shape: [2] },
  ];
  const loss = ['sparse_categorical_crossentropy', 'mse'];
  return resolveOutputs(topology, outputs, data, { loss, ...settings }, () => undefined).outputs;
}

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

test.each([
  ['softmax', [10], label(10), 'mse', 'accuracy'],
  ['tanh', [1], label(2), 'hinge', 'accuracy'],
  ['linear', [1], label(10), 'mse', 'mae'],
  ['sigmoid', [3], values(3), 'bce', 'accuracy'],
  ['softmax', [3], values(3), 'kld', 'mae'],
] as const)(
  'the metric by default of %s, %j and %o with the loss %s is %s',
  (activation, shape, target, loss, metric) => {
    const { output } = resolve(activation, [...shape], target, { loss });
    expect(output.metrics.map(({ label: given }) => given)).toEqual([metric]);
  },
);

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

test.each([
  ['MSE', 'mean_squared_error'],
  ['MeanSquaredError', 'mean_squared_error'],
  ['KLDivergence', 'kl_divergence'],
  ['bce', 'binary_crossentropy'],
  ['crossentropy', 'categorical_crossentropy'],
])('the loss %s is %s, as in Keras', (loss, name) => {
  const target = { ...values(2), dtype: 'bool' as const };
  expect(resolve('sigmoid', [2], target, { loss, metrics: [] }).output.loss).toEqual({ name });
});

test('metrics have the names that Keras gives them, the second of a name included', () => {
  const metrics = [
    'AUC',
    { name: 'auc', weighted: true },
    'auc',
    { name: 'auc', curve: 'PR' },
    'F1Score',
  ] as const;
  const { output } = resolve('sigmoid', [2], values(2), { metrics });
  expect(output.metrics.map(({ name, label: given = name }) => given)).toEqual([
    'AUC',
    'weighted_auc',
    'auc',
    'auc_1',
    'F1Score',
  ]);
});

describe('the settings of two outputs', () => {
  const names = (settings: OutputSettings) =>
    resolveBoth(settings).map(({ metrics }) => metrics.map(({ name }) => name));

  test('are a list with an entry for each, or entries by name, and a metric may stand without a list', () => {
    const both = [['sparse_categorical_accuracy'], ['mean_absolute_error', 'root_mean_squared_error']];
    expect(names({ metrics: ['accuracy', ['mae', 'rmse']] })).toEqual(both);
    expect(names({ metrics: { a: 'accuracy', b: ['mae', 'rmse'] } })).toEqual(both);
    expect(names({ metrics: [null, 'mae'] })).toEqual([[], ['mean_absolute_error']]);
    expect(names({ metrics: [] })).toEqual([[], []]);
    expect(names({})).toEqual([[], []]);
    expect(resolveBoth({ lossWeights: [1, 0.5] }).map(({ weight }) => weight)).toEqual([1, 0.5]);
    expect(resolveBoth({ lossWeights: { b: 0.5 } }).map(({ weight }) => weight)).toEqual([undefined, 0.5]);
  });

  test.each<[OutputSettings, string]>([
    [
      { loss: { aa: 'mse' } },
      "loss has an entry for aa, but the model has the outputs a, b. Did you mean 'a'?",
    ],
    [{ loss: ['mse'] }, 'loss has a list of 1, but the model has the outputs a, b. Give one entry for each.'],
    [{ loss: [null as never, 'mse'] }, 'A loss is a name, or a name with options; this one is null.'],
    [{ metrics: ['accuracy'] }, 'metrics has a list of 1, but the model has the outputs a, b.'],
    [{ metrics: { c: ['mae'] } }, 'metrics has an entry for c, but the model has the outputs a, b.'],
    [{ metrics: 'mae' as never }, 'metrics is "mae"; it takes a list, or entries by the names of outputs.'],
    [{ lossWeights: [1] }, 'lossWeights has a list of 1, but the model has the outputs a, b.'],
    [{ lossWeights: { out: 1 } }, 'lossWeights has an entry for out, but the model has the outputs a, b.'],
    [
      { lossWeights: 0.5 as never },
      'lossWeights is 0.5; it takes a list, or entries by the names of outputs.',
    ],
    [{ lossWeights: [-1, 1] }, 'lossWeights has the weight -1; it takes 0 to 1,000,000.'],
    [
      { metrics: { a: [{ name: 'auc', label: 'loss' }] } },
      'Two figures of the history would be named a_loss. Give the output or the metric another name.',
    ],
  ])('%j is refused', (settings, sentence) => {
    expect(() => resolveBoth(settings)).toThrow(sentence);
  });
});

test('a loss that is told of logits behind a softmax takes those of the softmax, and the user knows', () => {
  const { notes } = resolve('softmax', [2], label(2), {
    loss: { name: 'sparse_categorical_crossentropy', fromLogits: true },
  });
  expect(notes).toEqual([
    'The loss of out is told that it gets logits, but the model ends in a softmax. As in Keras, its logits are taken.',
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
    "The model's output out is [3], and the target value of made is [2]; no loss follows from the last activation, linear. Name one with loss, or end the model in a softmax.",
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
    'a mistyped loss',
    () => resolve('softmax', [8], label(8), { loss: 'MeanSquareError' }),
    "There is no loss MeanSquareError. Did you mean 'mean_squared_error'? Losses are ",
  ],
  [
    'a mistyped metric',
    () => resolve('softmax', [8], label(8), { metrics: ['acuracy'] }),
    "There is no metric acuracy. Did you mean 'accuracy'? Metrics are accuracy, ",
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
    'an option of another type',
    () => resolve('linear', [1], values(1), { loss: { name: 'huber', delta: '1' } as never }),
    'delta is "1" and should be number.',
  ],
  [
    'a number as loss',
    () => resolve('linear', [1], values(1), { loss: 5 as never }),
    'loss is 5; it takes a list, or entries by the names of outputs.',
  ],
  [
    'a loss without a name',
    () => resolve('linear', [1], values(1), { loss: [{ delta: 1 }] as never }),
    'A loss is a name, or a name with options; this one is {"delta":1}.',
  ],
  [
    'a number as metric',
    () => resolve('linear', [1], values(1), { metrics: [3] as never }),
    'A metric is a name, or a name with options; this one is 3.',
  ],
  [
    'an option that no loss has',
    () => resolve('linear', [1], values(1), { loss: { name: 'huber', dleta: 2 } as never }),
    'The loss huber does not take the options {"name":"huber","dleta":2}. Did you mean \'delta\'? It takes delta.',
  ],
  [
    'a value that an option does not take',
    () => resolve('sigmoid', [1], values(1), { loss: { name: 'bce', labelSmoothing: 2 } as never }),
    ': labelSmoothing is 2 and should be <=1.',
  ],
  [
    'an option that no metric has',
    () => resolve('softmax', [8], label(8), { metrics: [{ name: 'auc', num_thresholds: 9 } as never] }),
    'It takes thresholds, curve, summation, label, weighted.',
  ],
  [
    'a metric without an option that has no default',
    () => resolve('softmax', [3], label(3), { metrics: ['MeanIoU'] }),
    'The metric MeanIoU needs numClasses, as in { "name": "MeanIoU", "numClasses": ... }.',
  ],
  [
    'a rate without the other rate',
    () => resolve('sigmoid', [1], values(1), { metrics: [{ name: 'recall_at_precision', recall: 0.5 }] }),
    'The metric recall_at_precision needs precision',
  ],
  [
    'an overlap of a class that is not there',
    () => resolve('sigmoid', [2], values(2), { metrics: [{ name: 'binary_io_u', targetClassIds: [0, 2] }] }),
    'binary_io_u has no class 2.',
  ],
  [
    'an overlap of a class that counts twice',
    () => resolve('sigmoid', [2], values(2), { metrics: [{ name: 'binary_io_u', targetClassIds: [1, 1] }] }),
    'binary_io_u has a class twice in targetClassIds.',
  ],
  [
    'an overlap of values that should be class numbers',
    () => resolve('softmax', [3], label(3), { metrics: [{ name: 'mean_io_u', numClasses: 3 }] }),
    'mean_io_u takes outputs that are class numbers, not 3 values; set sparseYPred to false.',
  ],
  [
    'an overlap of targets that should be class numbers',
    () =>
      resolve('softmax', [3], values(3), {
        metrics: [{ name: 'mean_io_u', numClasses: 3, sparseYPred: false }],
      }),
    'mean_io_u takes targets that are class numbers; set sparseYTrue to false.',
  ],
  [
    'an overlap of class numbers with one-hot targets',
    () =>
      resolve('linear', [1], values(1), {
        metrics: [{ name: 'mean_io_u', numClasses: 3, sparseYTrue: false }],
      }),
    'mean_io_u takes sparseYTrue false only with sparseYPred false.',
  ],
  [
    'an R2 score of sequences',
    () => resolve('linear', [5, 2], { ...values(2), shape: [5, 2] }, { metrics: ['r2_score'] }),
    'r2_score takes outputs of one axis; flatten the output and the target, or use mean_squared_error.',
  ],
  [
    'weights of classes in a focal loss',
    () =>
      resolve('softmax', [2], label(2), {
        loss: { name: 'categorical_focal_crossentropy', alpha: [0.2, 0.8] } as never,
      }),
    'alpha is Array and should be number.',
  ],
  [
    'a name of a metric that the history has',
    () => resolve('softmax', [8], label(8), { metrics: [{ name: 'auc', label: 'seconds' }] }),
    'Two figures of the history would be named seconds.',
  ],
  [
    'a metric of logits that a run with this loss does not have',
    () => resolve('sigmoid', [2], values(2), { loss: 'mse', metrics: ['categorical_crossentropy'] }),
    'Keras computes categorical_crossentropy of the logits of the sigmoid of out, which this run does not have.',
  ],
  [
    'a focal loss of a softmax',
    () => resolve('softmax', [2], values(2), { loss: 'binary_focal_crossentropy' }),
    'The output out ends in a softmax, but binary_focal_crossentropy takes a sigmoid. End the model in a sigmoid.',
  ],
  [
    'an unknown size',
    () => resolve('linear', [null as never, 3], values(3)),
    'with an unknown size. Give the model an input_shape.',
  ],
])('%s is refused with a sentence', (_, run, sentence) => {
  expect(run).toThrow(sentence);
});
