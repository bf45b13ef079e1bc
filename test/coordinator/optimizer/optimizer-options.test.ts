import { describe, expect, it, test } from 'vitest';
import { scaleOptimizer } from '../../../coordinator/model/model.ts';
import {
  OPTIMIZER_NAMES,
  SCHEDULE_NAMES,
  type OptimizerOptions,
} from '../../../coordinator/optimizer/hyperparameters.ts';
import { optimizerFromKeras } from '../../../coordinator/optimizer/keras-config.ts';
import { resolveOptimizer, type OptimizerContext } from '../../../coordinator/optimizer/optimizer-options.ts';
import { flagName } from '../../../shared/util/option-names.ts';

const names = ['conv/kernel', 'conv/bias', 'embedding/embeddings', 'norm/gamma'];
const resolve = (options: unknown, more: Partial<OptimizerContext> = {}) =>
  resolveOptimizer(options as OptimizerOptions, {
    names,
    steps: 1000,
    adadelta: scaleOptimizer(512),
    ...more,
  });

describe('the settings of a job', () => {
  it('have the defaults of each optimizer', () => {
    for (const name of OPTIMIZER_NAMES) expect(resolve({ name }).name).toBe(name);
    expect(resolve({ name: 'adam' })).toEqual({
      name: 'adam',
      learningRate: 0.001,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-7,
      amsgrad: false,
    });
    expect(resolve({ name: 'muon' })).toMatchObject({ adamTensors: [2], weightDecay: 0.004 });
  });

  it('scale Adadelta alone to the batch size, but for what is given', () => {
    expect(resolve({ name: 'adadelta' })).toEqual(scaleOptimizer(512));
    expect(resolve({ name: 'adadelta', rho: 0.5 })).toEqual({ ...scaleOptimizer(512), rho: 0.5 });
  });

  it('have the tensors that parts of names stand for', () => {
    expect(resolve({ name: 'sgd', weightDecay: 0.1, noDecay: ['bias', 'gamma'] })).toMatchObject({
      weightDecay: 0.1,
      noDecay: [1, 3],
    });
    expect(resolve({ name: 'muon', exclude: ['conv'] })).toMatchObject({ adamTensors: [0, 1] });
  });

  it('decay over the steps of the run, without the warm-up', () => {
    for (const name of SCHEDULE_NAMES) {
      const needed = name === 'piecewise' ? { boundaries: [3], rates: [0.5, 0.1] } : {};
      expect(resolve({ name: 'sgd', schedule: { name, ...needed } }).schedule?.name).toBe(
        name === 'constant' ? undefined : name,
      );
    }
    const schedule = { name: 'cosine', warmupSteps: 100 };
    expect(resolve({ name: 'sgd', schedule }).schedule).toEqual({
      name: 'cosine',
      decaySteps: 900,
      alpha: 0,
      warmupSteps: 100,
      warmupFrom: 0,
    });
  });

  it.each([
    [{ name: 'adan' }, "There is no optimizer adan. Did you mean 'adam'? Use one of adadelta, adagrad,"],
    [{ name: 'adam', momentum: 1 }, 'The optimizer adam has no option momentum. It has learningRate,'],
    [{ name: 'adam', beta1: 2 }, 'The optimizer adam has a wrong beta1: Expected <1 but received 2.'],
    [{ name: 'sgd', schedule: { name: 'step' } }, 'There is no schedule step.'],
    [{ name: 'sgd', schedule: { name: 'cosine', power: 1 } }, 'The schedule cosine has no option power.'],
    [
      { name: 'sgd', schedule: { name: 'piecewise', boundaries: [1, 2], rates: [1] } },
      'one more rate than boundaries',
    ],
    [{ name: 'sgd', schedule: { name: 'piecewise' } }, 'The optimizer sgd has a wrong schedule.boundaries'],
    [
      { name: 'sgd', schedule: { name: 'piecewise', boundaries: [2, 1], rates: [3, 2, 1] } },
      'the boundaries do not ascend',
    ],
    [{ name: 'nadam', beta2: 1 }, 'The optimizer nadam has a wrong beta2: Expected <1 but received 1.'],
    [{ name: 'sgd', clipNorm: 1e39 }, 'The optimizer sgd has a wrong clipNorm: it is too large.'],
    [{ name: 'sgd', learningRate: Infinity }, 'The optimizer sgd has a wrong learningRate: it is too large.'],
    [{ name: 'sgd', schedule: { name: 'cosin' } }, "There is no schedule cosin. Did you mean 'cosine'?"],
    [
      { name: 'sgd', ema: { momentun: 0.9 } },
      "The moving average has no option momentun. Did you mean 'momentum'? It has momentum,",
    ],
    [
      { name: 'sgd', learningRate: 1, schedule: { name: 'piecewise', boundaries: [1], rates: [1, 0.1] } },
      'The schedule piecewise has its own rates',
    ],
    [{ name: 'sgd', clipNorm: 1, clipValue: 1 }, 'not two of them'],
    [{ name: 'sgd', weightDecay: 0.1, noDecay: ['beta'] }, 'No tensor of the model has beta in its name'],
    [{ name: 'sgd', noDecay: ['bias'] }, 'noDecay needs weightDecay: no tensor has weight decay otherwise.'],
    [{ name: 'adamw', weightDecay: null, noDecay: ['bias'] }, 'noDecay needs weightDecay'],
    [{ name: 'sgd', nesterov: true }, 'nesterov needs momentum'],
    [
      { name: 'sgd', schedule: { name: 'cosine', warmupFrom: 0.1 } },
      'schedule.warmupFrom needs schedule.warmupSteps: there is no warm-up otherwise.',
    ],
    [
      { name: 'sgd', schedule: { name: 'exponential', staircase: true } },
      'schedule.staircase needs schedule.decaySteps: the decay takes the whole run otherwise.',
    ],
    [{ name: 'sgd', schedule: { name: 'polynomial', cycle: true } }, 'schedule.cycle needs'],
    [{ name: 'sgd', schedule: { name: 'cosineRestarts', periodFactor: 3 } }, 'schedule.periodFactor needs'],
    ['adam', 'optimizer takes an object such as { name: \'adam\' }, not "adam".'],
    [null, "optimizer takes an object such as { name: 'adam' }, not null."],
    [{ name: 'sgd', noDecay: 'bias' }, 'noDecay takes parts of names such as [\'bias\'], not "bias".'],
    [{ name: 'muon', exclude: [1] }, "exclude takes parts of names such as ['bias'], not [1]."],
    [{ name: 'sgd', schedule: 'cosine' }, "schedule takes an object such as { name: 'cosine' }, not"],
    [{ name: 'sgd', ema: 0.99 }, 'ema takes an object such as { momentum: 0.99 }, not 0.99.'],
    [{ name: 'sgd', learningRate: '0.1' }, 'has a wrong learningRate: Expected number but received "0.1".'],
    [
      { name: 'sgd', schedule: { name: 'piecewise', boundaries: [1], rates: ['a', 'b'] } },
      'has a wrong schedule.rates.0: Expected number but received "a".',
    ],
  ])('%o is an error', (options, message) => {
    expect(() => resolve(options)).toThrow(message);
  });
});

test('errors of the command line name its options, also before the model is known', () => {
  const flags = { optionName: flagName, names: null };
  const cosine = { name: 'cosine', warmupFrom: 0.1 };
  for (const [options, message] of [
    [{ name: 'adam', noDecay: ['bias'] }, '--no-decay needs --weight-decay: '],
    [{ name: 'adam', schedule: cosine }, '--warmup-from needs --warmup-steps: '],
    [{ name: 'nadam', beta2: 1 }, 'The optimizer nadam has a wrong --beta-2: Expected <1'],
    [{ name: 'sgd', ema: { overwriteSteps: 0 } }, 'a wrong --ema-overwrite: '],
    [{ name: 'sgd', clipNorm: 1, clipValue: 1 }, 'one of --clip-norm, --global-clip-norm and --clip-value,'],
  ] as const)
    expect(() => resolve(options, flags)).toThrow(message);
  expect(resolve({ name: 'sgd', weightDecay: 1, noDecay: ['beta'] }, flags)).toMatchObject({ noDecay: [] });
});

describe("an optimizer from Keras' configuration", () => {
  const keras = (class_name: string, config: object) => optimizerFromKeras({ class_name, config });

  it('has its hyperparameters', () => {
    const common = { name: 'a', clipnorm: null, use_ema: false, ema_momentum: 0.99, loss_scale_factor: null };
    expect(keras('SGD', { ...common, learning_rate: 0.1, momentum: 0.9, nesterov: true })).toEqual({
      name: 'sgd',
      learningRate: 0.1,
      momentum: 0.9,
      nesterov: true,
    });
    const averaged = { learning_rate: 0.1, use_ema: true, ema_momentum: 0.9, ema_overwrite_frequency: 5 };
    expect(keras('Adam', averaged)).toMatchObject({ ema: { momentum: 0.9, overwriteSteps: 5 } });
    expect(keras('Adadelta', {})).toEqual({
      name: 'adadelta',
      learningRate: 0.001,
      rho: 0.95,
      epsilon: 1e-7,
    });
  });

  it('may be a name, which stands for the defaults of Keras 2', () => {
    expect(optimizerFromKeras('adam')).toEqual({ name: 'adam' });
    expect(optimizerFromKeras('RMSprop')).toEqual({ name: 'rmsprop' });
    expect(optimizerFromKeras('lion')).toEqual({ name: 'lion', learningRate: 0.0001 });
    expect(optimizerFromKeras('adadelta')).toMatchObject({ learningRate: 0.001, rho: 0.95 });
    expect(() => optimizerFromKeras('ftrl')).toThrow('The optimizer ftrl is not supported.');
  });

  it('of an early version of Keras 2 has its decay', () => {
    expect(keras('SGD', { lr: 0.1, decay: 0.01, momentum: 0, nesterov: true })).toEqual({
      name: 'sgd',
      learningRate: 0.1,
      momentum: 0,
      schedule: { name: 'inverseTime', decaySteps: 1, decayRate: 0.01 },
    });
    expect(keras('Adam', { learning_rate: 0.1, decay: 0 })).toEqual({ name: 'adam', learningRate: 0.1 });
  });

  it('has its schedule', () => {
    const config = { initial_learning_rate: 0.01, decay_steps: 100, name: 'x', warmup_steps: 10 };
    const cosine = (target: number | null) => ({
      learning_rate: { class_name: 'CosineDecay', config: { ...config, warmup_target: target } },
    });
    expect(keras('Adam', cosine(0.1))).toEqual({
      name: 'adam',
      learningRate: 0.1,
      schedule: { name: 'cosine', decaySteps: 100, warmupSteps: 10, warmupFrom: 0.01 },
    });
    expect(keras('Adam', cosine(null))).toEqual({
      name: 'adam',
      learningRate: 0.01,
      schedule: { name: 'cosine', decaySteps: 100 },
    });
  });

  it.each<[string, unknown, string]>([
    ['Ftrl', {}, 'The optimizer Ftrl is not supported. Use one of Adadelta,'],
    ['LossScaleOptimizer', { inner_optimizer: {} }, 'LossScaleOptimizer is not supported'],
    ['Adam', { loss_scale_factor: 128 }, 'has loss_scale_factor, which is not supported'],
    ['Adam', { own: 1 }, 'has own, which is not supported'],
    ['Adam', { learning_rate: { class_name: 'Own', config: {} } }, 'The schedule Own is not supported'],
    ['Adam', { learning_rate: 'fast' }, 'has a learning rate that is not one of Keras'],
    ['Muon', { exclude_layers: ['dense_.*'] }, 'the pattern dense_.* in exclude_layers'],
    ['toString', {}, 'The optimizer toString is not supported'],
  ])('%s %o is an error', (className, config, message) => {
    expect(() => keras(className, config as object)).toThrow(message);
  });

  it('is an error if it is no object of Keras', () => {
    for (const value of [null, 5, {}, { class_name: 'Adam' }])
      expect(() => optimizerFromKeras(value)).toThrow('an optimizer that is not one of Keras');
  });
});
