import { isRecord, ownEntry } from '../../shared/model/keras-layer.ts';
import type { ScheduleOptions } from './common-options.ts';
import type { OptimizerOptions } from './hyperparameters.ts';

/** Key of a setting in Keras, with the key here, or a function that converts the value. */
type Keys = Readonly<Record<string, string>>;

const BETAS: Keys = { beta_1: 'beta1', beta_2: 'beta2' };
const ADAM: Keys = { ...BETAS, epsilon: 'epsilon' };

/** Own settings of each optimizer, by its class in Keras. */
export const KERAS_OPTIMIZERS: Readonly<
  Record<string, { readonly name: OptimizerOptions['name']; readonly keys: Keys }>
> = {
  Adadelta: { name: 'adadelta', keys: { rho: 'rho', epsilon: 'epsilon' } },
  Adagrad: {
    name: 'adagrad',
    keys: { initial_accumulator_value: 'initialAccumulator', epsilon: 'epsilon' },
  },
  Adam: { name: 'adam', keys: { ...ADAM, amsgrad: 'amsgrad' } },
  AdamW: { name: 'adamw', keys: { ...ADAM, amsgrad: 'amsgrad' } },
  Adamax: { name: 'adamax', keys: ADAM },
  Lamb: { name: 'lamb', keys: ADAM },
  Lion: { name: 'lion', keys: BETAS },
  Muon: {
    name: 'muon',
    keys: {
      momentum: 'momentum',
      nesterov: 'nesterov',
      ns_steps: 'iterations',
      rms_rate: 'rmsRate',
      adam_beta_1: 'beta1',
      adam_beta_2: 'beta2',
      epsilon: 'epsilon',
      adam_lr_ratio: 'adamRateFactor',
      adam_weight_decay: 'adamWeightDecay',
    },
  },
  Nadam: { name: 'nadam', keys: ADAM },
  RMSprop: {
    name: 'rmsprop',
    keys: { rho: 'rho', momentum: 'momentum', epsilon: 'epsilon', centered: 'centered' },
  },
  SGD: { name: 'sgd', keys: { momentum: 'momentum', nesterov: 'nesterov' } },
};

/** Defaults of Keras that are not those here. */
const KERAS_DEFAULTS: Readonly<Record<string, object>> = {
  Adadelta: { learningRate: 0.001, rho: 0.95, epsilon: 1e-7 },
};

/** Settings of every optimizer that are one number. */
export const KERAS_COMMON: Keys = {
  weight_decay: 'weightDecay',
  clipnorm: 'clipNorm',
  global_clipnorm: 'globalClipNorm',
  clipvalue: 'clipValue',
  gradient_accumulation_steps: 'accumulate',
};
/** Settings without an effect on the computation. */
const IGNORED: readonly string[] = ['name', 'jit_compile', 'is_legacy_optimizer', 'registered_name'];
/** Settings that are off with null, false, 0 or 1, the only values that are supported. */
const OFF: readonly string[] = ['loss_scale_factor', 'adaptive_epsilon'];

/** Defaults of optimizers that only Keras 2 writes by name, where Keras 3 has others. */
const KERAS2_DEFAULTS: Readonly<Record<string, object>> = { Lion: { learning_rate: 0.0001 } };

/**
 * The options of an optimizer from its configuration in Keras, as `compile_config` of a model file has it:
 * { class_name: 'Adam', config: { learning_rate: 0.001, ... } }, where the learning rate may be a schedule, or the name alone, by
 * which Keras 2 writes an optimizer with its defaults.
 * @throws Error with a sentence if the optimizer, its schedule or a setting is not supported
 * @example
 * optimizerFromKeras({ class_name: 'SGD', config: { learning_rate: 0.1, momentum: 0.9 } });
 */
export function optimizerFromKeras(serialized: unknown): OptimizerOptions {
  const { className, config } = readObject(withConfig(serialized), 'an optimizer');
  const optimizer = ownEntry(KERAS_OPTIMIZERS, className);
  if (optimizer === undefined) {
    throw new Error(
      `The optimizer ${className} is not supported. Use one of ${Object.keys(KERAS_OPTIMIZERS).join(', ')}.`,
    );
  }
  // Early versions of Keras 2 write lr.
  const { lr, learning_rate: rate = lr, decay = 0, use_ema, ema_momentum, ...others } = config;
  const { ema_overwrite_frequency, ...settings } = others;
  const options: Record<string, unknown> = { name: optimizer.name, ...KERAS_DEFAULTS[className] };
  Object.assign(options, typeof rate === 'number' ? { learningRate: rate } : readSchedule(rate));
  if (decay !== 0 && decay !== null) {
    // Keras 2 divides the rate by 1 + decay * step.
    if (typeof rate !== 'number') throw new Error(`The optimizer ${className} has decay and a schedule.`);
    options.schedule = { name: 'inverseTime', decaySteps: 1, decayRate: decay };
  }
  if (use_ema === true) {
    options.ema = {
      ...(typeof ema_momentum === 'number' ? { momentum: ema_momentum } : {}),
      ...(typeof ema_overwrite_frequency === 'number' ? { overwriteSteps: ema_overwrite_frequency } : {}),
    };
  }
  const keys = { ...KERAS_COMMON, ...optimizer.keys };
  const rest = optimizer.name === 'muon' ? readMuon(settings, options) : settings;
  for (const [key, value] of Object.entries(rest)) {
    if (IGNORED.includes(key)) continue;
    const own = ownEntry(keys, key);
    if (own === undefined) {
      if (OFF.includes(key) && [null, false, 0, 1].includes(value as null)) continue;
      throw new Error(`The optimizer ${className} has ${key}, which is not supported. Remove it.`);
    }
    if (value !== null || ['weightDecay', 'adamWeightDecay', 'rmsRate'].includes(own)) options[own] = value;
  }
  // Without momentum, Keras ignores that it would look ahead.
  if (optimizer.name === 'sgd' && (options.momentum ?? 0) === 0) delete options.nesterov;
  return options as unknown as OptimizerOptions;
}

/** Configuration of an optimizer that may be a name, without the package that Keras 2 puts before its class. */
function withConfig(serialized: unknown): unknown {
  if (typeof serialized === 'string') {
    const lower = serialized.toLowerCase();
    const className =
      Object.keys(KERAS_OPTIMIZERS).find((known) => known.toLowerCase() === lower) ?? serialized;
    return { class_name: className, config: KERAS2_DEFAULTS[className] ?? {} };
  }
  if (!isRecord(serialized) || typeof serialized.class_name !== 'string') return serialized;
  return { ...serialized, class_name: serialized.class_name.replace(/^Custom>/, '') };
}

/** Reads Muon's coefficients and excluded layers, whose parts of names are patterns in Keras. @returns the other settings */
function readMuon(
  {
    muon_a: a = 3.4445,
    muon_b: b = -4.775,
    muon_c: c = 2.0315,
    exclude_layers: layers,
    exclude_embeddings: embeddings = true,
    ...rest
  }: Readonly<Record<string, unknown>>,
  options: Record<string, unknown>,
): Readonly<Record<string, unknown>> {
  options.coefficients = [a, b, c];
  const names = Array.isArray(layers) ? layers.map(String) : [];
  const pattern = names.find((name) => /[^\w/-]/.test(name));
  if (pattern !== undefined) {
    throw new Error(
      `The optimizer Muon has the pattern ${pattern} in exclude_layers. Only parts of names are supported.`,
    );
  }
  options.exclude = [...names, ...(embeddings === false ? [] : ['embedding'])];
  return rest;
}

/** Settings of each schedule, by its class in Keras. */
export const KERAS_SCHEDULES: Readonly<
  Record<string, { readonly name: ScheduleOptions['name']; readonly keys: Keys }>
> = {
  CosineDecay: {
    name: 'cosine',
    keys: { decay_steps: 'decaySteps', alpha: 'alpha', warmup_steps: 'warmupSteps' },
  },
  CosineDecayRestarts: {
    name: 'cosineRestarts',
    keys: { first_decay_steps: 'decaySteps', t_mul: 'periodFactor', m_mul: 'rateFactor', alpha: 'alpha' },
  },
  ExponentialDecay: {
    name: 'exponential',
    keys: { decay_steps: 'decaySteps', decay_rate: 'decayRate', staircase: 'staircase' },
  },
  InverseTimeDecay: {
    name: 'inverseTime',
    keys: { decay_steps: 'decaySteps', decay_rate: 'decayRate', staircase: 'staircase' },
  },
  PiecewiseConstantDecay: { name: 'piecewise', keys: { boundaries: 'boundaries', values: 'rates' } },
  PolynomialDecay: {
    name: 'polynomial',
    keys: {
      decay_steps: 'decaySteps',
      end_learning_rate: 'endLearningRate',
      power: 'power',
      cycle: 'cycle',
    },
  },
};

function readSchedule(serialized: unknown): object {
  if (serialized === undefined) return {};
  const { className, config } = readObject(serialized, 'a learning rate');
  const found = ownEntry(KERAS_SCHEDULES, className);
  if (found === undefined) {
    throw new Error(
      `The schedule ${className} is not supported. Use one of ${Object.keys(KERAS_SCHEDULES).join(', ')}.`,
    );
  }
  const { initial_learning_rate: initial, warmup_target: target, ...settings } = config;
  const schedule: Record<string, unknown> = { name: found.name };
  for (const [key, value] of Object.entries(settings)) {
    if (key === 'name') continue;
    const own = ownEntry(found.keys, key);
    if (own === undefined)
      throw new Error(`The schedule ${className} has ${key}, which is not supported. Remove it.`);
    if (value !== null) schedule[own] = value;
  }
  if (found.name !== 'cosine' || typeof target !== 'number') {
    // Without a target, Keras ignores the steps of the warm-up.
    delete schedule.warmupSteps;
    return { ...(found.name === 'piecewise' ? {} : { learningRate: initial }), schedule };
  }
  return { learningRate: target, schedule: { ...schedule, warmupFrom: initial } };
}

function readObject(
  serialized: unknown,
  subject: string,
): { readonly className: string; readonly config: Readonly<Record<string, unknown>> } {
  const { class_name: className, config } = isRecord(serialized) ? serialized : {};
  if (typeof className === 'string' && isRecord(config)) return { className, config };
  throw new Error(`The model file has ${subject} that is not one of Keras. Choose one with --optimizer.`);
}
