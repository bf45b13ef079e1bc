import * as v from 'valibot';

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

const scheduleSchema = v.variant('name', [
  v.object({
    name: v.literal('cosine'),
    /** Steps from the full learning rate to the last one, after the warm-up. */
    decaySteps: positiveCount,
    /** Last learning rate, as a part of the full one. */
    alpha: finite,
    /** Steps from `warmupFrom` to the full learning rate; 0 for no warm-up. */
    warmupSteps: count,
    warmupFrom: nonNegative,
  }),
  v.object({
    name: v.literal('cosineRestarts'),
    /** Steps of the first period. */
    decaySteps: positiveCount,
    /** Factor of each period's steps to those of the one before. */
    periodFactor: positive,
    /** Factor of each period's learning rate to that of the one before. */
    rateFactor: nonNegative,
    alpha: finite,
  }),
  v.object({
    name: v.literal('exponential'),
    decaySteps: positiveCount,
    decayRate: positive,
    /** Whether the rate changes only every `decaySteps` steps. */
    staircase: v.boolean(),
  }),
  v.pipe(
    v.object({
      name: v.literal('piecewise'),
      /** Last step of each rate but the last, ascending. */
      boundaries: v.pipe(v.array(count), v.minLength(1)),
      rates: v.array(nonNegative),
    }),
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
    /** Whether the decay begins again after `decaySteps` steps. */
    cycle: v.boolean(),
  }),
  v.object({
    name: v.literal('inverseTime'),
    decaySteps: positiveCount,
    decayRate: nonNegative,
    staircase: v.boolean(),
  }),
  v.object({
    name: v.literal('plateau'),
    /** Loss or metric of an epoch. */
    monitor: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
    /** Whether smaller or larger values are better. @default auto: its name tells */
    mode: v.optional(v.picklist(['auto', 'min', 'max'])),
    factor: v.pipe(positive, v.ltValue(1)),
    /** Epochs without an improvement after which the rate is reduced. */
    patience: count,
    minDelta: nonNegative,
    /** Epochs after a reduction in which none follows. */
    cooldown: count,
    minLearningRate: nonNegative,
  }),
]);
/** Change of the learning rate over the steps or epochs of a run. */
export type ScheduleSettings = v.InferOutput<typeof scheduleSchema>;

const constraintSchema = v.variant('name', [
  v.object({ name: v.literal('maxNorm'), maxValue: finite, axes: v.array(count) }),
  v.object({ name: v.literal('unitNorm'), axes: v.array(count) }),
  v.object({
    name: v.literal('minMaxNorm'),
    minValue: finite,
    maxValue: finite,
    rate: finite,
    axes: v.array(count),
  }),
  v.object({ name: v.literal('nonNegative') }),
]);
/** Constraint of a tensor, which is applied after each update. Norms are over `axes`. */
export type ConstraintSettings = v.InferOutput<typeof constraintSchema>;

const tensorRuleSchema = v.object({
  /** Position of the tensor in the layout, from 0. */
  tensor: count,
  /** Factors of the penalty l1 sum |w| + l2 sum w^2. */
  penalty: v.optional(v.object({ l1: nonNegative, l2: nonNegative })),
  /** Penalty of a matrix whose rows or columns are not orthogonal. */
  orthogonal: v.optional(v.object({ factor: nonNegative, mode: v.picklist(['rows', 'columns']) })),
  constraint: v.optional(constraintSchema),
});
/** Penalty and constraint of a tensor, as the model's topology asked for. */
export type TensorRule = v.InferOutput<typeof tensorRuleSchema>;

const common = {
  learningRate: nonNegative,
  schedule: v.optional(scheduleSchema),
  weightDecay: v.optional(nonNegative),
  /** Tensors without weight decay. */
  noDecay: v.optional(tensors),
  /** Maximum norm of each tensor's gradient. */
  clipNorm: v.optional(positive),
  /** Maximum norm of the whole gradient. */
  globalClipNorm: v.optional(positive),
  /** Maximum magnitude of a value of the gradient. */
  clipValue: v.optional(positive),
  /** Exponential moving average of the weights, which is evaluated and saved in their place. */
  ema: v.optional(v.object({ momentum: fraction, overwriteSteps: v.optional(positiveCount) })),
  /** Steps whose gradients are averaged for one update. */
  accumulate: v.optional(v.pipe(count, v.minValue(2))),
  tensorRules: v.optional(v.array(tensorRuleSchema)),
  /** Steps that the optimizer made before the run, after which schedules and corrections of averages go on. */
  earlierSteps: v.optional(positiveCount),
};
const adamFields = { ...common, beta1: decay, beta2: decay, epsilon: nonNegative };

/** Optimizer of a job by name, with all hyperparameters. */
export const optimizerSchema = v.variant('name', [
  v.object({ name: v.literal('adadelta'), ...common, rho: finite, epsilon: finite }),
  v.object({
    name: v.literal('adagrad'),
    ...common,
    initialAccumulator: nonNegative,
    epsilon: nonNegative,
  }),
  v.object({ name: v.literal('adam'), ...adamFields, amsgrad: v.boolean() }),
  v.object({ name: v.literal('adamw'), ...adamFields, weightDecay: nonNegative, amsgrad: v.boolean() }),
  v.object({ name: v.literal('adamax'), ...adamFields }),
  v.object({ name: v.literal('nadam'), ...adamFields }),
  v.object({ name: v.literal('lamb'), ...adamFields }),
  v.object({ name: v.literal('lion'), ...common, beta1: fraction, beta2: fraction }),
  v.object({
    name: v.literal('muon'),
    ...adamFields,
    momentum: fraction,
    nesterov: v.boolean(),
    /** Iterations of Newton and Schulz. */
    iterations: count,
    /** Coefficients of their polynomial. */
    coefficients: v.tuple([finite, finite, finite]),
    /** Root mean square of an update of learning rate 1; null leaves its scale as it is. */
    rmsRate: v.nullable(finite),
    /** Factor of the learning rate of the tensors that Adam updates. */
    adamRateFactor: finite,
    /** Weight decay of the tensors that Adam updates. */
    adamWeightDecay: v.optional(nonNegative),
    /** Matrices that Adam updates all the same, such as embeddings. */
    adamTensors: tensors,
  }),
  v.object({
    name: v.literal('rmsprop'),
    ...common,
    rho: fraction,
    momentum: fraction,
    epsilon: nonNegative,
    centered: v.boolean(),
  }),
  v.object({ name: v.literal('sgd'), ...common, momentum: fraction, nesterov: v.boolean() }),
]);
export type OptimizerSettings = v.InferOutput<typeof optimizerSchema>;
export type OptimizerName = OptimizerSettings['name'];
/** Settings of one optimizer. */
export type SettingsOf<Name extends OptimizerName> = Extract<OptimizerSettings, { readonly name: Name }>;
