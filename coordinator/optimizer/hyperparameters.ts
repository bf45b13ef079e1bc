import type { OptimizerName, ScheduleSettings } from '../../shared/model/optimizer-settings.ts';
import { adadeltaDefaults, type AdadeltaOptions } from './adadelta.ts';
import { adagradDefaults, type AdagradOptions } from './adagrad.ts';
import { adamDefaults, type AdamOptions } from './adam.ts';
import { adamaxDefaults, type AdamaxOptions } from './adamax.ts';
import { adamwDefaults, type AdamWOptions } from './adamw.ts';
import type { CommonOptions, ScheduleOptions } from './common-options.ts';
import { lambDefaults, type LambOptions } from './lamb.ts';
import { lionDefaults, type LionOptions } from './lion.ts';
import { muonDefaults, type MuonOptions } from './muon.ts';
import { nadamDefaults, type NadamOptions } from './nadam.ts';
import { rmspropDefaults, type RmspropOptions } from './rmsprop.ts';
import { sgdDefaults, type SgdOptions } from './sgd.ts';

/** An optimizer by name, with those hyperparameters that are not the defaults. */
export type OptimizerOptions =
  | AdadeltaOptions
  | AdagradOptions
  | AdamOptions
  | AdamaxOptions
  | AdamWOptions
  | LambOptions
  | LionOptions
  | MuonOptions
  | NadamOptions
  | RmspropOptions
  | SgdOptions;

/** Hyperparameters that take the place of some of a compiled optimizer's: options without the names of optimizer and schedule. */
export type OptimizerChanges = Readonly<Record<string, unknown>> & {
  readonly name?: undefined;
  readonly schedule?: Readonly<Record<string, unknown>>;
};

/** Defaults of each optimizer's hyperparameters: those of Keras, but for Adadelta. */
export const DEFAULTS: Readonly<Record<OptimizerName, Readonly<Record<string, unknown>>>> = {
  adadelta: adadeltaDefaults,
  adagrad: adagradDefaults,
  adam: adamDefaults,
  adamax: adamaxDefaults,
  adamw: adamwDefaults,
  lamb: lambDefaults,
  lion: lionDefaults,
  muon: muonDefaults,
  nadam: nadamDefaults,
  rmsprop: rmspropDefaults,
  sgd: sgdDefaults,
};
export const OPTIMIZER_NAMES = Object.keys(DEFAULTS) as readonly OptimizerName[];

/** Keys that every optimizer has besides its own. */
const COMMON_KEYS: readonly (keyof CommonOptions)[] = [
  'learningRate',
  'schedule',
  'weightDecay',
  'noDecay',
  'clipNorm',
  'globalClipNorm',
  'clipValue',
  'ema',
  'accumulate',
];

/**
 * Defaults of each schedule; null for a setting that has to be given, and for the number of steps, which is that of the run.
 * A setting that jobs of earlier versions lack is undefined.
 */
export const SCHEDULE_DEFAULTS: Readonly<
  Record<ScheduleSettings['name'] | 'constant', Readonly<Record<string, unknown>>>
> = {
  constant: {},
  cosine: { decaySteps: null, alpha: 0, warmupSteps: 0, warmupFrom: 0 },
  cosineRestarts: { decaySteps: null, periodFactor: 2, rateFactor: 1, alpha: 0 },
  exponential: { decaySteps: null, decayRate: 0.96, staircase: false },
  piecewise: { boundaries: null, rates: null },
  polynomial: { decaySteps: null, endLearningRate: 0.0001, power: 1, cycle: false },
  inverseTime: { decaySteps: null, decayRate: 0.5, staircase: false },
  plateau: {
    monitor: 'val_loss',
    mode: undefined,
    factor: 0.1,
    patience: 10,
    minDelta: 0.0001,
    cooldown: 0,
    minLearningRate: 0,
  },
};
export const SCHEDULE_NAMES = Object.keys(SCHEDULE_DEFAULTS) as readonly ScheduleOptions['name'][];

/** Names of an optimizer's own hyperparameters and of the settings of all optimizers. */
export const optimizerKeys = (name: OptimizerName): readonly string[] => [
  ...new Set([
    ...COMMON_KEYS,
    ...Object.keys(DEFAULTS[name]),
    ...(name === 'muon' ? ['exclude', 'rmsRate'] : []),
  ]),
];

/** Names of a schedule's settings. */
export const scheduleKeys = (name: ScheduleOptions['name']): readonly string[] =>
  Object.keys(SCHEDULE_DEFAULTS[name]);
