import type { MonitorMode } from '../../shared/model/metric-direction.ts';

/**
 * Settings that every optimizer takes, with what is done before and after its rule. In each step the order is: accumulation, clip,
 * weight decay, the rule, moving average, constraints of the model's layers.
 */
export interface CommonOptions {
  /** Learning rate; with a schedule, the full one. @default that of the optimizer in Keras */
  readonly learningRate?: number;
  /** Change of the learning rate over the run. @default none: the rate is constant */
  readonly schedule?: ScheduleOptions;
  /** Part of each weight, times the learning rate, that is taken off in each update; null for none. @default none, and 0.004 for adamw and muon */
  readonly weightDecay?: number | null;
  /** Parts of names: a tensor whose name contains one has no weight decay, as in ['bias', 'gamma']. @default none */
  readonly noDecay?: readonly string[];
  /** Maximum norm of each tensor's gradient. @default none */
  readonly clipNorm?: number;
  /** Maximum norm of the whole gradient. @default none */
  readonly globalClipNorm?: number;
  /** Maximum magnitude of each value of the gradient. @default none */
  readonly clipValue?: number;
  /** Exponential moving average of the weights, which is evaluated and saved in their place. @default none */
  readonly ema?: {
    /** Part of the average that each step keeps. @default 0.99 */
    readonly momentum?: number;
    /** Steps after which the average takes the place of the weights, again and again. @default never */
    readonly overwriteSteps?: number;
  };
  /** Steps whose gradients are averaged for one update. @default 1 */
  readonly accumulate?: number;
}

/** Part of a schedule that decays over a number of steps. */
interface Decay {
  /** Steps of the decay. @default those of the run, without the warm-up */
  readonly decaySteps?: number;
}

/** Change of the learning rate, by the formulas of the schedules in Keras. */
export type ScheduleOptions =
  | { readonly name: 'constant' }
  | CosineOptions
  | CosineRestartsOptions
  | ExponentialOptions
  | PiecewiseOptions
  | PolynomialOptions
  | InverseTimeOptions
  | PlateauOptions;

/** Half a cosine from the learning rate down to a part of it, after a linear warm-up. */
export interface CosineOptions extends Decay {
  readonly name: 'cosine';
  /** Last learning rate, as a part of the full one. @default 0 */
  readonly alpha?: number;
  /** Steps of the warm-up. @default 0 */
  readonly warmupSteps?: number;
  /** Learning rate at the start of the warm-up. @default 0 */
  readonly warmupFrom?: number;
}

/** Half cosines, one after the other. */
export interface CosineRestartsOptions {
  readonly name: 'cosineRestarts';
  /** Steps of the first period. @default those of the run */
  readonly decaySteps?: number;
  /** Factor of each period's steps to those of the one before. @default 2 */
  readonly periodFactor?: number;
  /** Factor of each period's learning rate to that of the one before. @default 1 */
  readonly rateFactor?: number;
  /** Last learning rate of a period, as a part of the first. @default 0 */
  readonly alpha?: number;
}

/** learningRate decayRate^(step / decaySteps) */
export interface ExponentialOptions extends Decay {
  readonly name: 'exponential';
  /** Factor of the learning rate after `decaySteps` steps. @default 0.96 */
  readonly decayRate?: number;
  /** Whether the rate changes only every `decaySteps` steps. @default false */
  readonly staircase?: boolean;
}

/** One learning rate for each range of steps. */
export interface PiecewiseOptions {
  readonly name: 'piecewise';
  /** Last step of each rate but the last, ascending. */
  readonly boundaries: readonly number[];
  /** Learning rates, one more than boundaries. */
  readonly rates: readonly number[];
}

/** Power of the remaining part of the steps. */
export interface PolynomialOptions extends Decay {
  readonly name: 'polynomial';
  /** Last learning rate. @default 0.0001 */
  readonly endLearningRate?: number;
  /** Exponent. @default 1: a straight line */
  readonly power?: number;
  /** Whether the decay begins again after `decaySteps` steps, over a multiple of them. @default false */
  readonly cycle?: boolean;
}

/** learningRate / (1 + decayRate step / decaySteps) */
export interface InverseTimeOptions extends Decay {
  readonly name: 'inverseTime';
  /** Factor of the divisor's growth. @default 0.5 */
  readonly decayRate?: number;
  /** Whether the rate changes only every `decaySteps` steps. @default false */
  readonly staircase?: boolean;
}

/** A smaller learning rate whenever a score has not improved for some epochs. */
export interface PlateauOptions {
  readonly name: 'plateau';
  /** Loss or metric of an epoch that has to improve. @default 'val_loss' */
  readonly monitor?: string;
  /** Whether smaller or larger values are better; auto knows it for losses and most metrics of Keras. @default 'auto' */
  readonly mode?: MonitorMode;
  /** Factor of the learning rate. @default 0.1 */
  readonly factor?: number;
  /** Epochs without an improvement after which the rate is reduced. @default 10 */
  readonly patience?: number;
  /** Smallest change that is an improvement. @default 0.0001 */
  readonly minDelta?: number;
  /** Epochs after a reduction in which none follows. @default 0 */
  readonly cooldown?: number;
  /** Smallest learning rate. @default 0 */
  readonly minLearningRate?: number;
}
