import { isLayer, ownEntry } from './keras-layer.ts';

/** Rule for one key of a layer's configuration: the values that gradcast computes as Keras does. */
export interface Rule {
  readonly accepts: (value: unknown) => boolean;
  /** Accepted values, for the error: "only 1 is supported". */
  readonly expected: string;
  /** Keras' default, if tfjs-layers has another one. */
  readonly defaultValue?: unknown;
}

const isEqual = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right);

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** Name in snake_case: channelsLast becomes channels_last. */
export const snakeCase = (name: string): string =>
  name.replace(
    /([a-z0-9])([A-Z])/g,
    (_, before: string, capital: string) => `${before}_${capital.toLowerCase()}`,
  );

const comparable = (value: unknown): unknown => (typeof value === 'string' ? snakeCase(value) : value);

/** Key with any value: it does not change the computation, or all its values are supported. */
export const any: Rule = { accepts: () => true, expected: 'anything' };

/** Key with a list of supported values. null means the first value, because Keras writes null for its default. */
export function oneOf(...values: readonly unknown[]): Rule {
  return {
    accepts: (value) => value === null || values.some((supported) => isEqual(supported, comparable(value))),
    expected:
      values.length > 1
        ? `supported are ${values.map(text).join(', ')}`
        : `only ${text(values[0])} is supported`,
  };
}

/** Key with a list of supported values, without null. */
export const strictlyOneOf = (...values: readonly unknown[]): Rule => {
  const rule = oneOf(...values);
  return { ...rule, accepts: (value) => value !== null && rule.accepts(value) };
};

/** Key with the same number for every dimension. */
export function everyDimension(value: number): Rule {
  return {
    accepts: (actual) =>
      actual === null ||
      (Array.isArray(actual) ? actual.every((element) => element === value) : actual === value),
    expected: `only ${value} is supported`,
  };
}

/** Unsupported key, which may only be null, false or 0. */
export const absent: Rule = {
  accepts: (value) => value === null || value === false || value === 0,
  expected: 'it is not supported',
};

/** Boolean, or null, which tfjs-layers writes for a missing value. */
export const flag: Rule = {
  accepts: (value) => value === null || typeof value === 'boolean',
  expected: 'only true and false are supported',
};

export const finiteNumber: Rule = {
  accepts: (value) => value === null || Number.isFinite(value),
  expected: 'only a number is supported',
};

export const wholeNumber: Rule = { accepts: Number.isInteger, expected: 'only a whole number is supported' };

/** Whole number above 0, or a list of them for each dimension. */
export const counts: Rule = {
  accepts: (value) =>
    (Array.isArray(value) ? value : [value]).every((one) => Number.isInteger(one) && Number(one) > 0),
  expected: 'only whole numbers above 0 are supported',
};

/** Whole number above 0, alone or in a list. */
export const oneCount: Rule = {
  accepts: (value) => [value].flat().length === 1 && counts.accepts(value),
  expected: 'only one whole number above 0 is supported',
};

/** Strides of a pool; null means the size of the window. */
export const countsOrNull: Rule = { ...counts, accepts: (value) => value === null || counts.accepts(value) };

/** Shape of a dropout mask, with 1 for axes that share one value. Samples never share a mask. */
export const noiseShape: Rule = {
  accepts: (value) =>
    value === null ||
    (Array.isArray(value) && value[0] === null && value.every((one) => one === null || one === 1)),
  expected: 'only null (required for the first axis) and 1 are supported',
};

/** Axes, in nested lists of any depth. */
export const wholeNumbers: Rule = {
  accepts: (value) => [value].flat(3).every(Number.isInteger),
  expected: 'only whole numbers are supported',
};

export const wholeNumbersOrNull: Rule = {
  ...wholeNumbers,
  accepts: (value) => value === null || wholeNumbers.accepts(value),
};

/** Activations, by the names of Keras. `gelu_tanh` and `hard_sigmoid_keras3` are names of gradcast. */
export const activation: Rule = oneOf(
  'linear',
  'relu',
  'relu6',
  'sigmoid',
  'tanh',
  'softmax',
  'elu',
  'selu',
  'softplus',
  'softsign',
  'swish',
  'silu',
  'gelu',
  'hard_sigmoid',
  'hard_sigmoid_keras3',
  'celu',
  'exponential',
  'gelu_tanh',
  'hard_shrink',
  'hard_silu',
  'hard_tanh',
  'leaky_relu',
  'log_sigmoid',
  'log_softmax',
  'mish',
  'soft_shrink',
  'sparse_plus',
  'sparse_sigmoid',
  'squareplus',
  'tanh_shrink',
);

/** Number, or the two ends of a range. */
export const range: Rule = {
  accepts: (value) =>
    value === null ||
    Number.isFinite(value) ||
    (Array.isArray(value) && value.length === 2 && value.every(Number.isFinite)),
  expected: 'only a number or a range of two numbers is supported',
};

/** Names of the inputs of an attention layer, in their order. */
export const inputNames: Rule = {
  accepts: (value) =>
    Array.isArray(value) && value.every((name) => ['query', 'value', 'key'].includes(String(name))),
  expected: 'only query, value and key are supported',
};

/** Numbers in nested lists of any depth. */
export const numbers: Rule = {
  accepts: (value) => [value].flat(9).length > 0 && [value].flat(9).every(Number.isFinite),
  expected: 'only numbers are supported',
};

/** Whether a regularizer has only zero weights, as Keras writes l1_l2(0, 0). */
const isZeroPenalty = (regularizer: unknown): boolean =>
  isLayer(regularizer) &&
  ['L1', 'L2', 'L1L2'].includes(regularizer.class_name) &&
  Object.values(regularizer.config).every((weight) => weight === 0 || weight === null);

/** Regularizer of the output of a layer with layers inside, to which Keras gives it too. */
export const noPenalty: Rule = {
  accepts: (value) => value === null || isZeroPenalty(value),
  expected: 'no penalty on the output of this layer is supported',
};

const isFloat32 = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(Math.fround(value));
const isFactor = (value: unknown): boolean => value === null || (isFloat32(value) && value >= 0);
/** null stands for all axes. */
const isAxes = (value: unknown): boolean => value === null || [value].flat().every(Number.isInteger);

/** Rule for an object of one of these classes, whose configuration has only keys with accepted values. */
const oneOfClasses = (
  classes: Readonly<Record<string, Readonly<Record<string, Rule['accepts']>>>>,
  expected: string,
): Rule => ({
  accepts(value) {
    if (!isLayer(value)) return value === null;
    const keys = ownEntry(classes, value.class_name);
    if (keys === undefined) return false;
    return Object.entries(value.config).every(([key, setting]) => ownEntry(keys, key)?.(setting) === true);
  },
  expected,
});

const SUMS = { L1: { l1: isFactor }, L2: { l2: isFactor }, L1L2: { l1: isFactor, l2: isFactor } };

/** Penalty on the output of a layer, which workers add to the loss of each sample. */
export const outputRegularizer: Rule = oneOfClasses(
  SUMS,
  'supported are L1, L2 and L1L2, with factors of 0 or more',
);

/** Penalty on weights, which the coordinator adds to the loss. */
export const regularizer: Rule = oneOfClasses(
  {
    ...SUMS,
    OrthogonalRegularizer: {
      factor: isFactor,
      mode: (value) => value === null || value === 'rows' || value === 'columns',
    },
  },
  'supported are L1, L2, L1L2 and OrthogonalRegularizer, with factors of 0 or more',
);

/** Constraint of weights, which the coordinator applies after each update. */
export const constraint: Rule = oneOfClasses(
  {
    MaxNorm: { max_value: isFloat32, axis: isAxes },
    NonNeg: {},
    UnitNorm: { axis: isAxes },
    MinMaxNorm: {
      min_value: isFloat32,
      max_value: isFloat32,
      rate: isFloat32,
      axis: isAxes,
    },
  },
  'supported are MaxNorm, NonNeg, UnitNorm and MinMaxNorm, with the keys of Keras and finite numbers',
);

/** Initializer, which expandInitializer() checks. */
export const initializer: Rule = { accepts: () => true, expected: 'an initializer' };

/** Sizes, one of which may be unknown: -1, or null as tfjs-layers writes it. */
export const sizesWithWildcard: Rule = {
  accepts: (value) => Array.isArray(value) && value.every((one) => one === null || Number.isInteger(one)),
  expected: 'only whole numbers are supported',
};

/** Equation of an EinsumDense: two lists of axes, and the axes of the result. */
export const equation: Rule = {
  accepts: (value) => typeof value === 'string' && /^[a-z]+,[a-z]+->[a-z]+$/.test(value.replaceAll(' ', '')),
  expected: 'supported are equations such as abc,cd->abd',
};

export const nested: Rule = { accepts: isLayer, expected: 'only a layer is supported' };

export const dtype: Rule = {
  accepts: (value) => value === null || value === 'float32',
  expected: 'only float32 is supported',
};

/** Initializer, regularizer and constraint of each of a layer's tensors. */
export function tensors(...names: readonly string[]): Record<string, Rule> {
  return Object.fromEntries(
    names.flatMap((name) => [
      [`${name}_initializer`, initializer],
      [`${name}_regularizer`, regularizer],
      [`${name}_constraint`, constraint],
    ]),
  );
}
