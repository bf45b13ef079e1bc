import { CUSTOM } from './custom-code.ts';

/**
 * A loss at one position of an output: reduced over the last axis, in double precision.
 * @param target values, or for sparse losses the class, from `at` on
 * @param output values from `from` on
 * @param width length of the last axis
 */
export type RowLoss = (
  target: ArrayLike<number>,
  at: number,
  output: ArrayLike<number>,
  from: number,
  width: number,
) => number;

/** Options of all losses; each loss takes some of them (LOSSES). */
export interface LossOptions {
  /** Whether outputs are logits. */
  readonly fromLogits?: boolean | undefined;
  readonly labelSmoothing?: number | undefined;
  /** Error from which on the Huber loss is linear. */
  readonly delta?: number | undefined;
  /** Weight of class 1 of a binary focal loss with class balancing, and of all classes of a categorical one. */
  readonly alpha?: number | undefined;
  /** Exponent of a focal loss' modulating factor. */
  readonly gamma?: number | undefined;
  readonly applyClassBalancing?: boolean | undefined;
  /** Exponent of the generalized cross-entropy. */
  readonly q?: number | undefined;
  /** Name of the function of the job's custom code that computes it. */
  readonly function?: string | undefined;
}

/** Activation that a loss computes together with its logarithm. */
export type Activation = 'softmax' | 'sigmoid';

/** Definition of a loss with Keras' name and semantics. */
export interface LossDefinition {
  /** Options that it takes. */
  readonly options: readonly (keyof LossOptions)[];
  /** Whether its target is a class number for each position, not a value for each output. */
  readonly isSparse?: boolean;
  /** Whether it can be negative. */
  readonly isSigned?: boolean;
  /** Smallest and largest target that it is defined for, or labels: 0 and 1, or other values without 0. @default all */
  readonly targets?: readonly [number, number] | 'labels';
  /** Activation that turns logits into what the loss takes. */
  readonly activation?: Activation;
  /** Last activations that are part of the loss, which then takes logits. */
  readonly folds?: readonly Activation[];
  /** @param logits whether outputs are logits */
  readonly create: (options: LossOptions, logits: boolean) => RowLoss;
}

/** Keras' epsilon, by which it keeps logarithms and quotients finite. */
export const EPSILON = 1e-7;
/** Exponent of the modulating factor of a focal loss. */
export const DEFAULT_GAMMA = 2;
/** Weight of class 1 of a binary focal loss with class balancing, and of all classes of a categorical one. */
export const DEFAULT_ALPHA = 0.25;
/** Error from which on the Huber loss is linear. */
export const DEFAULT_DELTA = 1;
/** Exponent of the generalized cross-entropy: near 0 it is the cross-entropy, near 1 the mean absolute error. */
export const DEFAULT_Q = 0.5;

const clip = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
const clipProbability = (value: number): number => clip(value, EPSILON, 1 - EPSILON);
const at = (values: ArrayLike<number>, index: number): number => values[index] as number;

/** Logarithm of the sum of exponentials, without overflow. */
function logSumExp(values: ArrayLike<number>, from: number, width: number): { max: number; log: number } {
  let best = 0;
  for (let c = 1; c < width; c++) if (at(values, from + c) > at(values, from + best)) best = c;
  const max = at(values, from + best);
  let sum = 0;
  for (let c = 0; c < width; c++) sum += Math.exp(at(values, from + c) - max);
  return { max, log: Math.log(sum) };
}

/** Cross-entropy of softmax(logits) with a class. */
const sparseLogits: RowLoss = (target, i, output, from, width) => {
  const { max, log } = logSumExp(output, from, width);
  return log + max - at(output, from + at(target, i));
};

/** Keras clips each probability and then takes them as unscaled. */
const sparseProbabilities: RowLoss = (target, i, output, from, width) => {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += clipProbability(at(output, from + c));
  return Math.log(sum) - Math.log(clipProbability(at(output, from + at(target, i))));
};

function categorical({ labelSmoothing = 0 }: LossOptions, logits: boolean): RowLoss {
  const smooth = (value: number, width: number): number =>
    value * (1 - labelSmoothing) + labelSmoothing / width;
  if (logits) {
    return (target, i, output, from, width) => {
      const { max, log } = logSumExp(output, from, width);
      let loss = 0;
      for (let c = 0; c < width; c++) {
        loss += smooth(at(target, i + c), width) * (log + max - at(output, from + c));
      }
      return loss;
    };
  }
  return (target, i, output, from, width) => {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += at(output, from + c);
    let loss = 0;
    for (let c = 0; c < width; c++) {
      loss -= smooth(at(target, i + c), width) * Math.log(clipProbability(at(output, from + c) / sum));
    }
    return loss;
  };
}

/** Loss that is the mean of a function of target and output over the last axis. */
const meanOf =
  (value: (target: number, output: number) => number): RowLoss =>
  (target, i, output, from, width) => {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += value(at(target, i + c), at(output, from + c));
    return sum / width;
  };

const binaryEntropy = (target: number, output: number, logits: boolean): number => {
  if (logits) return Math.max(output, 0) - output * target + Math.log1p(Math.exp(-Math.abs(output)));
  const p = clipProbability(output);
  return -(target * Math.log(p) + (1 - target) * Math.log(1 - p));
};

function binary({ labelSmoothing = 0 }: LossOptions, logits: boolean): RowLoss {
  const smooth = (target: number): number => target * (1 - labelSmoothing) + 0.5 * labelSmoothing;
  return meanOf((t, x) => binaryEntropy(smooth(t), x, logits));
}

export const sigmoid = (x: number): number =>
  x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));

function focal(options: LossOptions, logits: boolean): RowLoss {
  const { labelSmoothing = 0, gamma = DEFAULT_GAMMA, alpha = DEFAULT_ALPHA, applyClassBalancing } = options;
  return meanOf((t, x) => {
    const p = logits ? sigmoid(x) : x;
    const y = t * (1 - labelSmoothing) + 0.5 * labelSmoothing;
    const loss = (1 - (y * p + (1 - y) * (1 - p))) ** gamma * binaryEntropy(y, x, logits);
    return applyClassBalancing === true ? (y * alpha + (1 - y) * (1 - alpha)) * loss : loss;
  });
}

/** Keras computes it of probabilities, also of those that it makes from logits. */
function categoricalFocal(options: LossOptions, logits: boolean): RowLoss {
  const { labelSmoothing = 0, gamma = DEFAULT_GAMMA, alpha = DEFAULT_ALPHA } = options;
  return (target, i, output, from, width) => {
    const { max } = logits ? logSumExp(output, from, width) : { max: 0 };
    const valueOf = (c: number): number =>
      logits ? Math.exp(at(output, from + c) - max) : at(output, from + c);
    let sum = 0;
    for (let c = 0; c < width; c++) sum += valueOf(c);
    let loss = 0;
    for (let c = 0; c < width; c++) {
      const p = clipProbability(valueOf(c) / sum);
      const y = at(target, i + c) * (1 - labelSmoothing) + labelSmoothing / width;
      loss -= alpha * (1 - p) ** gamma * y * Math.log(p);
    }
    return loss;
  };
}

/** Labels 0 and 1 as -1 and 1; Keras does so where a batch has no other values. */
const hingeLabel = (target: number): number => (target === 0 ? -1 : target);

/** Cosine of the angle between target and output. Vectors of length 0 count as 0. */
export const cosine: RowLoss = (target, i, output, from, width) => {
  let product = 0;
  let targetSquares = 0;
  let outputSquares = 0;
  for (let c = 0; c < width; c++) {
    const y = at(target, i + c);
    const p = at(output, from + c);
    product += y * p;
    targetSquares += y * y;
    outputSquares += p * p;
  }
  // Keras' normalize() divides by at least its epsilon.
  const norm = (squares: number): number => Math.max(Math.sqrt(squares), EPSILON);
  return product / (norm(targetSquares) * norm(outputSquares));
};

const simple = (row: RowLoss, isSigned = false): LossDefinition => ({
  options: [],
  create: () => row,
  ...(isSigned ? { isSigned } : {}),
});

/** All losses by Keras' names. Formulas: keras/src/losses/losses.py. */
export const LOSSES = {
  categorical_crossentropy: {
    options: ['fromLogits', 'labelSmoothing'],
    targets: [0, Infinity],
    activation: 'softmax',
    folds: ['softmax', 'sigmoid'],
    create: categorical,
  },
  sparse_categorical_crossentropy: {
    options: ['fromLogits'],
    isSparse: true,
    activation: 'softmax',
    folds: ['softmax', 'sigmoid'],
    create: (_, logits) => (logits ? sparseLogits : sparseProbabilities),
  },
  binary_crossentropy: {
    options: ['fromLogits', 'labelSmoothing'],
    targets: [0, 1],
    activation: 'sigmoid',
    folds: ['softmax', 'sigmoid'],
    create: binary,
  },
  binary_focal_crossentropy: {
    options: ['fromLogits', 'labelSmoothing', 'alpha', 'gamma', 'applyClassBalancing'],
    targets: [0, 1],
    activation: 'sigmoid',
    // Its factor takes the probabilities of the sigmoid alone.
    folds: ['sigmoid'],
    create: focal,
  },
  categorical_focal_crossentropy: {
    options: ['fromLogits', 'labelSmoothing', 'alpha', 'gamma'],
    targets: [0, Infinity],
    activation: 'softmax',
    create: categoricalFocal,
  },
  categorical_generalized_cross_entropy: {
    options: ['q'],
    isSparse: true,
    // A probability that float32 rounds above 1 has a negative loss.
    isSigned: true,
    create:
      ({ q = DEFAULT_Q }) =>
      (target, i, output, from) =>
        (1 - at(output, from + at(target, i)) ** q) / q,
  },
  mean_squared_error: simple(meanOf((t, p) => (t - p) ** 2)),
  mean_absolute_error: simple(meanOf((t, p) => Math.abs(t - p))),
  mean_absolute_percentage_error: simple(
    meanOf((t, p) => 100 * Math.abs((t - p) / Math.max(Math.abs(t), EPSILON))),
  ),
  mean_squared_logarithmic_error: simple(
    meanOf((t, p) => (Math.log(Math.max(p, EPSILON) + 1) - Math.log(Math.max(t, EPSILON) + 1)) ** 2),
  ),
  huber: {
    options: ['delta'],
    create: ({ delta = DEFAULT_DELTA }) =>
      meanOf((t, p) => {
        const error = Math.abs(p - t);
        return error <= delta ? 0.5 * error * error : delta * error - 0.5 * delta * delta;
      }),
  },
  log_cosh: simple(
    meanOf((t, p) => {
      // log cosh is even, so that the exponential cannot overflow.
      const x = Math.abs(p - t);
      return x + Math.log1p(Math.exp(-2 * x)) - Math.LN2;
    }),
  ),
  hinge: { ...simple(meanOf((t, p) => Math.max(1 - hingeLabel(t) * p, 0))), targets: 'labels' },
  squared_hinge: {
    ...simple(meanOf((t, p) => Math.max(1 - hingeLabel(t) * p, 0) ** 2)),
    targets: 'labels',
  },
  categorical_hinge: simple((target, i, output, from, width) => {
    let positive = 0;
    let negative = -Infinity;
    for (let c = 0; c < width; c++) {
      const t = at(target, i + c);
      const p = at(output, from + c);
      positive += t * p;
      negative = Math.max(negative, (1 - t) * p);
    }
    return Math.max(negative - positive + 1, 0);
  }),
  poisson: simple(
    meanOf((t, p) => p - t * Math.log(p + EPSILON)),
    true,
  ),
  kl_divergence: simple((target, i, output, from, width) => {
    let sum = 0;
    for (let c = 0; c < width; c++) {
      const t = clip(at(target, i + c), EPSILON, 1);
      sum += t * Math.log(t / clip(at(output, from + c), EPSILON, 1));
    }
    return sum;
  }, true),
  cosine_similarity: simple((...row) => -cosine(...row), true),
} as const satisfies Record<string, LossDefinition>;

export type LossName = keyof typeof LOSSES;

export const LOSS_NAMES = Object.keys(LOSSES) as LossName[];

export const isLossName = (name: string): name is LossName => Object.hasOwn(LOSSES, name);

/**
 * Loss of a job's custom code. Its values come from the engine, since only that has the function: Scoring takes them from there.
 */
const CUSTOM_LOSS: LossDefinition = {
  options: ['function'],
  isSigned: true,
  create: () => () => NaN,
};

export const lossDefinition = (name: LossName | typeof CUSTOM): LossDefinition =>
  name === CUSTOM ? CUSTOM_LOSS : LOSSES[name];

/**
 * Last activation that a cross-entropy computes itself, or null. Like Keras, it does so even if it is told that outputs are logits.
 * @param own activation of the last layer
 */
export function foldedActivation(
  { name, fromLogits }: { readonly name: LossName | typeof CUSTOM } & Pick<LossOptions, 'fromLogits'>,
  own: string | null,
): Activation | null {
  if (name === 'binary_focal_crossentropy' && fromLogits === true) return null;
  return lossDefinition(name).folds?.find((activation) => activation === own) ?? null;
}

/** Other names of losses and metrics. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['bce', 'binary_crossentropy'],
  ['mse', 'mean_squared_error'],
  ['mae', 'mean_absolute_error'],
  ['mape', 'mean_absolute_percentage_error'],
  ['msle', 'mean_squared_logarithmic_error'],
  ['rmse', 'root_mean_squared_error'],
  ['logcosh', 'log_cosh'],
  ['log_cosh_error', 'log_cosh'],
  ['kld', 'kl_divergence'],
  ['kullback_leibler_divergence', 'kl_divergence'],
  ['acc', 'accuracy'],
  ['f_beta_score', 'fbeta_score'],
]);

/**
 * Name of a loss or metric as LOSSES and METRICS have it, for any name that Keras takes.
 * @example
 * canonicalName('MSE') // 'mean_squared_error', and so for 'mse' and 'MeanSquaredError'
 */
export function canonicalName(name: string): string {
  const snake = name
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
  return ALIASES.get(snake) ?? snake;
}
