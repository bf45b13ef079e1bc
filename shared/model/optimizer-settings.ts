import * as v from 'valibot';
import type { SchemaFields } from '../util/schema-fields.ts';

// The optimizer of a job: its rule with all hyperparameters, and what is done before and after the rule. Absent settings are off.
// The coordinator alone applies it. See coordinator/optimizer/ for the formulas.

/** The optimizer rounds numbers to float32. */
const finite = v.pipe(
  v.number(),
  v.check((value) => Number.isFinite(Math.fround(value)), 'it is too large'),
);
const nonNegative = v.pipe(finite, v.minValue(0));
const positive = v.pipe(finite, v.gtValue(0));
const fraction = v.pipe(finite, v.minValue(0), v.maxValue(1));
/** Part that an average keeps, where a correction for the first updates divides by the rest. */
const decay = v.pipe(finite, v.minValue(0), v.ltValue(1));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positiveCount = v.pipe(count, v.minValue(1));
/** Positions of tensors in the layout, from 0. */
const tensors = v.array(count);

interface CosineSchedule {
  readonly name: 'cosine';
  /** Steps from the full learning rate to the last one, after the warm-up. */
  readonly decaySteps: number;
  /** Last learning rate, as a part of the full one. */
  readonly alpha: number;
  /** Steps from `warmupFrom` to the full learning rate; 0 for no warm-up. */
  readonly warmupSteps: number;
  readonly warmupFrom: number;
}

interface CosineRestartsSchedule {
  readonly name: 'cosineRestarts';
  /** Steps of the first period. */
  readonly decaySteps: number;
  /** Factor of each period's steps to those of the one before. */
  readonly periodFactor: number;
  /** Factor of each period's learning rate to that of the one before. */
  readonly rateFactor: number;
  readonly alpha: number;
}

interface ExponentialSchedule {
  readonly name: 'exponential';
  readonly decaySteps: number;
  readonly decayRate: number;
  /** Whether the rate changes only every `decaySteps` steps. */
  readonly staircase: boolean;
}

interface PiecewiseSchedule {
  readonly name: 'piecewise';
  /** Last step of each rate but the last, ascending. */
  readonly boundaries: number[];
  readonly rates: number[];
}

interface PolynomialSchedule {
  readonly name: 'polynomial';
  readonly decaySteps: number;
  readonly endLearningRate: number;
  readonly power: number;
  /** Whether the decay begins again after `decaySteps` steps. */
  readonly cycle: boolean;
}

interface InverseTimeSchedule {
  readonly name: 'inverseTime';
  readonly decaySteps: number;
  readonly decayRate: number;
  readonly staircase: boolean;
}

interface PlateauSchedule {
  readonly name: 'plateau';
  /** Loss or metric of an epoch. */
  readonly monitor: string;
  /** Whether smaller or larger values are better. @default auto: its name tells */
  readonly mode?: 'auto' | 'min' | 'max' | undefined;
  readonly factor: number;
  /** Epochs without an improvement after which the rate is reduced. */
  readonly patience: number;
  readonly minDelta: number;
  /** Epochs after a reduction in which none follows. */
  readonly cooldown: number;
  readonly minLearningRate: number;
}

/** Change of the learning rate over the steps or epochs of a run. */
export type ScheduleSettings =
  | CosineSchedule
  | CosineRestartsSchedule
  | ExponentialSchedule
  | PiecewiseSchedule
  | PolynomialSchedule
  | InverseTimeSchedule
  | PlateauSchedule;

const scheduleSchema: v.GenericSchema<unknown, ScheduleSettings> = v.variant('name', [
  v.object({
    name: v.literal('cosine'),
    decaySteps: positiveCount,
    alpha: finite,
    warmupSteps: count,
    warmupFrom: nonNegative,
  } satisfies SchemaFields<CosineSchedule>),
  v.object({
    name: v.literal('cosineRestarts'),
    decaySteps: positiveCount,
    periodFactor: positive,
    rateFactor: nonNegative,
    alpha: finite,
  } satisfies SchemaFields<CosineRestartsSchedule>),
  v.object({
    name: v.literal('exponential'),
    decaySteps: positiveCount,
    decayRate: positive,
    staircase: v.boolean(),
  } satisfies SchemaFields<ExponentialSchedule>),
  v.pipe(
    v.object({
      name: v.literal('piecewise'),
      boundaries: v.pipe(v.array(count), v.minLength(1)),
      rates: v.array(nonNegative),
    } satisfies SchemaFields<PiecewiseSchedule>),
    v.check(
      ({ boundaries, rates }) => rates.length === boundaries.length + 1,
      'one more rate than boundaries',
    ),
    v.check(
      ({ boundaries }) => boundaries.every((boundary, i) => i === 0 || boundary > (boundaries[i - 1] ?? 0)),
      'the boundaries do not ascend',
    ),
  ),
  v.object({
    name: v.literal('polynomial'),
    decaySteps: positiveCount,
    endLearningRate: nonNegative,
    power: finite,
    cycle: v.boolean(),
  } satisfies SchemaFields<PolynomialSchedule>),
  v.object({
    name: v.literal('inverseTime'),
    decaySteps: positiveCount,
    decayRate: nonNegative,
    staircase: v.boolean(),
  } satisfies SchemaFields<InverseTimeSchedule>),
  v.object({
    name: v.literal('plateau'),
    monitor: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
    mode: v.optional(v.picklist(['auto', 'min', 'max'])),
    factor: v.pipe(positive, v.ltValue(1)),
    patience: count,
    minDelta: nonNegative,
    cooldown: count,
    minLearningRate: nonNegative,
  } satisfies SchemaFields<PlateauSchedule>),
]);

interface MaxNorm {
  readonly name: 'maxNorm';
  readonly maxValue: number;
  readonly axes: number[];
}

interface UnitNorm {
  readonly name: 'unitNorm';
  readonly axes: number[];
}

interface MinMaxNorm {
  readonly name: 'minMaxNorm';
  readonly minValue: number;
  readonly maxValue: number;
  readonly rate: number;
  readonly axes: number[];
}

interface NonNegative {
  readonly name: 'nonNegative';
}

/** Constraint of a tensor, which is applied after each update. Norms are over `axes`. */
export type ConstraintSettings = MaxNorm | UnitNorm | MinMaxNorm | NonNegative;

const axes = v.array(count);
const constraintSchema: v.GenericSchema<unknown, ConstraintSettings> = v.variant('name', [
  v.object({ name: v.literal('maxNorm'), maxValue: finite, axes } satisfies SchemaFields<MaxNorm>),
  v.object({ name: v.literal('unitNorm'), axes } satisfies SchemaFields<UnitNorm>),
  v.object({
    name: v.literal('minMaxNorm'),
    minValue: finite,
    maxValue: finite,
    rate: finite,
    axes,
  } satisfies SchemaFields<MinMaxNorm>),
  v.object({ name: v.literal('nonNegative') } satisfies SchemaFields<NonNegative>),
]);

/** Penalty and constraint of a tensor, as the model's topology asked for. */
export interface TensorRule {
  /** Position of the tensor in the layout, from 0. */
  readonly tensor: number;
  /** Factors of the penalty l1 sum |w| + l2 sum w^2. */
  readonly penalty?: { readonly l1: number; readonly l2: number } | undefined;
  /** Penalty of a matrix whose rows or columns are not orthogonal. */
  readonly orthogonal?: { readonly factor: number; readonly mode: 'rows' | 'columns' } | undefined;
  readonly constraint?: ConstraintSettings | undefined;
}

const tensorRuleSchema = v.object({
  tensor: count,
  penalty: v.optional(v.object({ l1: nonNegative, l2: nonNegative })),
  orthogonal: v.optional(v.object({ factor: nonNegative, mode: v.picklist(['rows', 'columns']) })),
  constraint: v.optional(constraintSchema),
} satisfies SchemaFields<TensorRule>);

interface CommonSettings {
  readonly learningRate: number;
  readonly schedule?: ScheduleSettings | undefined;
  readonly weightDecay?: number | undefined;
  /** Tensors without weight decay. */
  readonly noDecay?: number[] | undefined;
  /** Maximum norm of each tensor's gradient. */
  readonly clipNorm?: number | undefined;
  /** Maximum norm of the whole gradient. */
  readonly globalClipNorm?: number | undefined;
  /** Maximum magnitude of a value of the gradient. */
  readonly clipValue?: number | undefined;
  /** Exponential moving average of the weights, which is evaluated and saved in their place. */
  readonly ema?: { readonly momentum: number; readonly overwriteSteps?: number | undefined } | undefined;
  /** Steps whose gradients are averaged for one update. */
  readonly accumulate?: number | undefined;
  readonly tensorRules?: TensorRule[] | undefined;
  /** Steps that the optimizer made before the run, after which schedules and corrections of averages go on. */
  readonly earlierSteps?: number | undefined;
}

const common = {
  learningRate: nonNegative,
  schedule: v.optional(scheduleSchema),
  weightDecay: v.optional(nonNegative),
  noDecay: v.optional(tensors),
  clipNorm: v.optional(positive),
  globalClipNorm: v.optional(positive),
  clipValue: v.optional(positive),
  ema: v.optional(v.object({ momentum: fraction, overwriteSteps: v.optional(positiveCount) })),
  accumulate: v.optional(v.pipe(count, v.minValue(2))),
  tensorRules: v.optional(v.array(tensorRuleSchema)),
  earlierSteps: v.optional(positiveCount),
} satisfies SchemaFields<CommonSettings>;

interface AdadeltaSettings extends CommonSettings {
  readonly name: 'adadelta';
  readonly rho: number;
  readonly epsilon: number;
}

interface AdagradSettings extends CommonSettings {
  readonly name: 'adagrad';
  readonly initialAccumulator: number;
  readonly epsilon: number;
}

interface MomentsSettings extends CommonSettings {
  readonly beta1: number;
  readonly beta2: number;
}

interface AdamFields extends MomentsSettings {
  readonly epsilon: number;
}

const adamFields = {
  ...common,
  beta1: decay,
  beta2: decay,
  epsilon: nonNegative,
} satisfies SchemaFields<AdamFields>;

interface AdamSettings extends AdamFields {
  readonly name: 'adam';
  readonly amsgrad: boolean;
}

interface AdamWSettings extends AdamFields {
  readonly name: 'adamw';
  readonly weightDecay: number;
  readonly amsgrad: boolean;
}

interface AdamaxSettings extends AdamFields {
  readonly name: 'adamax';
}

interface NadamSettings extends AdamFields {
  readonly name: 'nadam';
}

interface LambSettings extends AdamFields {
  readonly name: 'lamb';
}

interface LionSettings extends MomentsSettings {
  readonly name: 'lion';
}

interface MuonSettings extends AdamFields {
  readonly name: 'muon';
  readonly momentum: number;
  readonly nesterov: boolean;
  /** Iterations of Newton and Schulz. */
  readonly iterations: number;
  /** Coefficients of their polynomial. */
  readonly coefficients: [number, number, number];
  /** Root mean square of an update of learning rate 1; null leaves its scale as it is. */
  readonly rmsRate: number | null;
  /** Factor of the learning rate of the tensors that Adam updates. */
  readonly adamRateFactor: number;
  /** Weight decay of the tensors that Adam updates. */
  readonly adamWeightDecay?: number | undefined;
  /** Matrices that Adam updates all the same, such as embeddings. */
  readonly adamTensors: number[];
}

interface RmspropSettings extends CommonSettings {
  readonly name: 'rmsprop';
  readonly rho: number;
  readonly momentum: number;
  readonly epsilon: number;
  readonly centered: boolean;
}

interface SgdSettings extends CommonSettings {
  readonly name: 'sgd';
  readonly momentum: number;
  readonly nesterov: boolean;
}

/** Optimizer of a job by name, with all hyperparameters. */
export type OptimizerSettings =
  | AdadeltaSettings
  | AdagradSettings
  | AdamSettings
  | AdamWSettings
  | AdamaxSettings
  | NadamSettings
  | LambSettings
  | LionSettings
  | MuonSettings
  | RmspropSettings
  | SgdSettings;

/** @internal */
export const optimizerSchema: v.GenericSchema<unknown, OptimizerSettings> = v.variant('name', [
  v.object({
    name: v.literal('adadelta'),
    ...common,
    rho: finite,
    epsilon: finite,
  } satisfies SchemaFields<AdadeltaSettings>),
  v.object({
    name: v.literal('adagrad'),
    ...common,
    initialAccumulator: nonNegative,
    epsilon: nonNegative,
  } satisfies SchemaFields<AdagradSettings>),
  v.object({
    name: v.literal('adam'),
    ...adamFields,
    amsgrad: v.boolean(),
  } satisfies SchemaFields<AdamSettings>),
  v.object({
    name: v.literal('adamw'),
    ...adamFields,
    weightDecay: nonNegative,
    amsgrad: v.boolean(),
  } satisfies SchemaFields<AdamWSettings>),
  v.object({ name: v.literal('adamax'), ...adamFields } satisfies SchemaFields<AdamaxSettings>),
  v.object({ name: v.literal('nadam'), ...adamFields } satisfies SchemaFields<NadamSettings>),
  v.object({ name: v.literal('lamb'), ...adamFields } satisfies SchemaFields<LambSettings>),
  v.object({
    name: v.literal('lion'),
    ...common,
    beta1: fraction,
    beta2: fraction,
  } satisfies SchemaFields<LionSettings>),
  v.object({
    name: v.literal('muon'),
    ...adamFields,
    momentum: fraction,
    nesterov: v.boolean(),
    iterations: count,
    coefficients: v.tuple([finite, finite, finite]),
    rmsRate: v.nullable(finite),
    adamRateFactor: finite,
    adamWeightDecay: v.optional(nonNegative),
    adamTensors: tensors,
  } satisfies SchemaFields<MuonSettings>),
  v.object({
    name: v.literal('rmsprop'),
    ...common,
    rho: fraction,
    momentum: fraction,
    epsilon: nonNegative,
    centered: v.boolean(),
  } satisfies SchemaFields<RmspropSettings>),
  v.object({
    name: v.literal('sgd'),
    ...common,
    momentum: fraction,
    nesterov: v.boolean(),
  } satisfies SchemaFields<SgdSettings>),
]);
export type OptimizerName = OptimizerSettings['name'];
/** Settings of one optimizer. */
export type SettingsOf<Name extends OptimizerName> = Extract<OptimizerSettings, { readonly name: Name }>;
