import { afterAll, describe, expect, test } from 'vitest';
import { readCompileConfig } from '../../../coordinator/model-file/keras-file.ts';
import { readModelFile } from '../../../coordinator/model-file/model-file.ts';
import { completeSettings, type TrainingSettings } from '../../../coordinator/model/compile-config.ts';
import { flagName } from '../../../shared/util/option-names.ts';
import { kerasFolder } from '../../support/keras-files.ts';

const folder = await kerasFolder();
afterAll(() => folder.remove());

/** Topology of a model with outputs of these names. */
const topologyOf = (...names: string[]) => ({
  class_name: 'Functional',
  config: {
    name: 'm',
    layers: names.map((name) => ({ class_name: 'Dense', name, config: { name }, inbound_nodes: [] })),
    output_layers: names.map((name) => [name, 0, 0]),
  },
});
const complete = (config: object | null, given: TrainingSettings = {}, names = ['a']) =>
  completeSettings(
    { optionName: flagName, ...given },
    { topology: topologyOf(...names), compileConfig: readCompileConfig(config) },
    'model.keras',
  );
const adam = {
  class_name: 'Adam',
  config: {
    name: 'adam',
    learning_rate: {
      class_name: 'CosineDecay',
      config: { initial_learning_rate: 0.0003, decay_steps: 9, alpha: 0, name: null, warmup_target: null },
    },
    clipnorm: 1,
    weight_decay: null,
  },
};
const compiled = { optimizer: adam, loss: 'mse', metrics: ['mae'] };

describe('the settings that a model was compiled with', () => {
  test.each([
    ['names-2.keras', 'adam, learning rate 0.001; loss mse; metrics mae, accuracy.'],
    ['names-3.h5', 'adam, learning rate 0.001; loss mse; metrics mae, accuracy.'],
    [
      'objects-3.keras',
      'adam, learning rate 0.03 with cosine decay, clip norm 0.5, beta1 0.8; loss categorical_crossentropy (labelSmoothing 0.1); ' +
        'metrics categorical_accuracy, area (thresholds 50), precision_2 (threshold 0.3), top_k_categorical_accuracy (k 2), ' +
        'kl_divergence, accuracy (weighted).',
    ],
    [
      'functions-2.h5',
      'sgd, learning rate 0.1, momentum 0.9, nesterov; loss categorical_crossentropy; metrics categorical_accuracy, square.',
    ],
    [
      'dict-2.h5',
      'rmsprop, learning rate 0.01, momentum 0.5, centered; loss a: categorical_crossentropy, b: huber (delta 1); ' +
        'loss weights a: 1, b: 0.5; metrics a: accuracy, b: mae, root_mean_squared_error.',
    ],
    [
      'lists-3.keras',
      'adamw, learning rate 0.02 with exponential decay, weight decay 0.01; loss a: categorical_crossentropy, b: mse; ' +
        'loss weights 0.7, 2; metrics a: accuracy, b: mae.',
    ],
  ])('are named as %s has them', async (name, sentence) => {
    const file = await readModelFile(await folder.unpack(`compiled-${name}`));
    const { taken, problems } = completeSettings({}, file, name);
    expect(taken).toBe(`From ${name}: ${sentence}`);
    expect(problems).toEqual([]);
  });

  test('are the defaults of a run, each replaced by itself', () => {
    expect(complete(compiled)).toMatchObject({
      optimizer: { name: 'adam', learningRate: 0.0003, schedule: { name: 'cosine', decaySteps: 9 } },
      loss: 'mse',
      metrics: ['mae'],
      taken:
        'From model.keras: adam, learning rate 0.0003 with cosine decay, clip norm 1; loss mse; metrics mae.',
    });
    expect(complete(compiled, { loss: 'mae', metrics: ['mse'] })).toMatchObject({
      optimizer: { name: 'adam' },
      loss: 'mae',
      metrics: ['mse'],
      taken: 'From model.keras: adam, learning rate 0.0003 with cosine decay, clip norm 1.',
    });
    expect(complete(compiled, { optimizer: { name: 'sgd' } })).toMatchObject({
      optimizer: { name: 'sgd' },
      taken: 'From model.keras: loss mse; metrics mae.',
    });
  });

  test('keep the rest of the optimizer if one of its settings is changed', () => {
    const optimizer = (changes: TrainingSettings['optimizer']) =>
      complete(compiled, { optimizer: changes }).optimizer;
    expect(optimizer({ learningRate: 0.1, clipValue: 2 })).toEqual({
      name: 'adam',
      learningRate: 0.1,
      schedule: { name: 'cosine', decaySteps: 9, alpha: 0 },
      weightDecay: null,
      clipValue: 2,
    });
    expect(optimizer({ schedule: { decaySteps: 20 } })).toMatchObject({
      schedule: { name: 'cosine', decaySteps: 20, alpha: 0 },
    });
    expect(optimizer({ schedule: { name: 'constant' } })).toMatchObject({ schedule: { name: 'constant' } });
    expect(complete(null, { optimizer: { learningRate: 0.1 } }).optimizer).toEqual({
      name: 'adadelta',
      learningRate: 0.1,
    });
    expect(() => complete(null, { optimizer: { schedule: { decaySteps: 20 } } })).toThrow(
      '--decay-steps needs --schedule: the model was not compiled with a schedule.',
    );
  });

  test('are none where Keras has null, or nothing was compiled', () => {
    for (const config of [null, {}, { optimizer: null, loss: null, metrics: null, loss_weights: null }]) {
      expect(readCompileConfig(config)).toBeNull();
      expect(complete(config)).toMatchObject({ taken: null, problems: [] });
    }
  });

  test('may be by output or weighted, and names that come twice are those of Keras', () => {
    const names = ['a', 'b'];
    const config = {
      loss: ['mse', { class_name: 'Huber', config: { name: 'huber_loss', reduction: 'auto', delta: 2 } }],
      loss_weights: { b: 3 },
      metrics: { b: 'mae' },
      weighted_metrics: [null, ['mae', 'mse']],
    };
    expect(complete(config, {}, names)).toMatchObject({
      loss: { a: 'mse', b: { name: 'huber', delta: 2 } },
      lossWeights: { b: 3 },
      metrics: {
        a: [],
        b: [
          'mae',
          { name: 'mean_absolute_error', label: 'weighted_mae', weighted: true },
          { name: 'mean_squared_error', label: 'mse', weighted: true },
        ],
      },
    });
    expect(complete({ loss: ['mse'], loss_weights: 2, metrics: [['mae']] })).toMatchObject({
      loss: 'mse',
      lossWeights: [2],
      metrics: ['mae'],
    });
  });
});

describe('what cannot be honoured', () => {
  const loss = (class_name: string, config: object) => ({ loss: { class_name, config } });

  test.each<[object, string]>([
    [
      { loss: { class_name: 'function', config: 'own_loss' } },
      'The loss that model.keras was compiled with cannot be used: There is no own_loss. --loss replaces it.',
    ],
    [{ loss: 'my>own' }, 'There is no my>own. --loss replaces it.'],
    [
      loss('MeanSquaredError', { reduction: 'sum' }),
      'MeanSquaredError has reduction "sum". --loss replaces it.',
    ],
    [loss('CategoricalCrossentropy', { axis: 1 }), 'CategoricalCrossentropy has axis 1.'],
    [loss('SparseCategoricalCrossentropy', { ignore_class: 0 }), 'has ignore_class 0.'],
    [
      { optimizer: { class_name: 'Ftrl', config: {} } },
      'The optimizer that model.keras was compiled with cannot be used: The optimizer Ftrl is not supported. Use one of',
    ],
    [{ optimizer: 'own' }, '--optimizer replaces it.'],
    [
      { loss_weights: ['x'] },
      'The loss weights that model.keras was compiled with cannot be used: "x" is no number.',
    ],
  ])('%j is an error that names the option', (config, sentence) => {
    expect(() => complete(config)).toThrow(sentence);
  });

  test('of a loss is no error if another one is given', () => {
    expect(complete({ loss: 'own' }, { loss: 'mse' })).toMatchObject({ loss: 'mse', taken: null });
    expect(complete({ optimizer: 'own' }, { optimizer: { name: 'sgd' } }).optimizer).toEqual({ name: 'sgd' });
  });

  test('of one output is an error that names the output', () => {
    expect(() => complete({ loss: ['mse', null] }, {}, ['a', 'b'])).toThrow('The output b has none.');
  });

  test('of metrics is named, and the others are computed', () => {
    const metrics = [
      'accuracy',
      { class_name: 'Accuracy', config: {} },
      { class_name: 'function', config: 'own_\nmetric' },
      { class_name: 'Precision', config: { thresholds: [0.1, 0.2] } },
      { class_name: 'AUC', config: { multi_label: true, num_thresholds: 9 } },
      { class_name: 'F1Score', config: { average: null, threshold: null } },
    ];
    expect(complete({ loss: 'mse', metrics })).toMatchObject({
      metrics: ['accuracy'],
      taken: 'From model.keras: loss mse; metrics accuracy.',
      problems: [
        'The run does not compute Accuracy (there is no such metric), own_ metric (there is no such metric), ' +
          'Precision (it has several thresholds), AUC (AUC has multi_label true), F1Score (it has no average; macro is the mean over the classes) of model.keras. --metrics chooses others.',
      ],
    });
  });

  test('of metrics is a value without an average, several overlaps or weights that are not rounded', () => {
    const io = { num_classes: 3, name: 'mean_io_u', ignore_class: null, sparse_y_true: true, axis: -1 };
    const metric = (class_name: string, config: object): object => ({ class_name, config });
    const metrics = [
      metric('FBetaScore', { average: null, beta: 2, threshold: null }),
      metric('R2Score', { class_aggregation: null, num_regressors: 0 }),
      metric('R2Score', { class_aggregation: 'uniform_average', num_regressors: 2 }),
      metric('PrecisionAtRecall', { recall: 0.5, num_thresholds: 200, class_id: 1 }),
      metric('OneHotMeanIoU', { num_classes: 3, sparse_y_pred: true, axis: -1 }),
      metric('MeanIoU', { ...io, sparse_y_pred: false, axis: 1 }),
    ];
    const weighted_metrics = [metric('MeanIoU', { ...io, sparse_y_pred: false, dtype: 'float32' })];
    expect(complete({ loss: 'mse', metrics, weighted_metrics }).problems).toEqual([
      'The run does not compute FBetaScore (it has no average; macro is the mean over the classes), ' +
        'R2Score (it has no class_aggregation; uniform_average is the mean over the outputs), ' +
        'R2Score (R2Score has num_regressors 2), PrecisionAtRecall (PrecisionAtRecall has class_id 1), ' +
        'OneHotMeanIoU (OneHotMeanIoU has sparse_y_pred true), MeanIoU (MeanIoU has axis 1), ' +
        'MeanIoU (its dtype is float32, and weights are rounded to integers here as with int64) of model.keras. ' +
        '--metrics chooses others.',
    ]);
  });

  test('is read from the files of Keras', async () => {
    for (const name of ['own-3.keras', 'own-3.h5', 'own-2.keras', 'own-2.h5']) {
      const file = await readModelFile(await folder.unpack(`compiled-${name}`));
      expect(() => completeSettings({}, file, name)).toThrow(`The loss that ${name} was compiled with`);
      const { taken, problems } = completeSettings({ loss: 'mse', optionName: flagName }, file, name);
      expect(taken).toBe(`From ${name}: sgd, learning rate 0.1; metrics accuracy.`);
      expect(problems).toEqual([
        `The run does not compute own_loss (there is no such metric) of ${name}. --metrics chooses others.`,
      ]);
    }
  });
});
