import { isLayer } from './keras-layer.ts';

/** Values of one key of a layer's configuration that are computed as Keras computes them. */
export interface Rule {
  readonly accepts: (value: unknown) => boolean;
  /** Accepted values, for the error: "only 1 is supported". */
  readonly expected: string;
  /** Value that Keras takes where the file says nothing; set where tfjs-layers takes another one. */
  readonly defaultValue?: unknown;
}

const isEqual = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right);

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** Value as Python writes it: channelsLast and channels_last are one. */
export const snakeCase = (name: string): string =>
  name.replace(
    /([a-z0-9])([A-Z])/g,
    (_, before: string, capital: string) => `${before}_${capital.toLowerCase()}`,
  );

const comparable = (value: unknown): unknown => (typeof value === 'string' ? snakeCase(value) : value);

/** A key that changes nothing that is computed, or that is computed whatever it says. */
export const any: Rule = { accepts: () => true, expected: 'anything' };

/** A key with some values that are supported. null stands for the first: where Keras writes null, it means its default. */
export function oneOf(...values: readonly unknown[]): Rule {
  return {
    accepts: (value) => value === null || values.some((one) => isEqual(one, comparable(value))),
    expected:
      values.length > 1
        ? `supported are ${values.map(text).join(', ')}`
        : `only ${text(values[0])} is supported`,
  };
}

/** The same where null means something else than the first value. */
export const strictlyOneOf = (...values: readonly unknown[]): Rule => {
  const rule = oneOf(...values);
  return { ...rule, accepts: (value) => value !== null && rule.accepts(value) };
};

/** One number for every dimension. */
export function everyDimension(value: number): Rule {
  return {
    accepts: (given) =>
      given === null || (Array.isArray(given) ? given.every((one) => one === value) : given === value),
    expected: `only ${value} is supported`,
  };
}

/** Nothing, or what means nothing. */
export const absent: Rule = {
  accepts: (value) => value === null || value === false || value === 0,
  expected: 'it is not supported',
};

/** tfjs-layers writes null where a person has said nothing. */
export const flag: Rule = {
  accepts: (value) => value === null || typeof value === 'boolean',
  expected: 'only true and false are supported',
};

export const finiteNumber: Rule = {
  accepts: (value) => value === null || Number.isFinite(value),
  expected: 'only a number is supported',
};

export const wholeNumber: Rule = { accepts: Number.isInteger, expected: 'only a whole number is supported' };

/** A whole number above 0, or one for each dimension. */
export const counts: Rule = {
  accepts: (value) =>
    (Array.isArray(value) ? value : [value]).every((one) => Number.isInteger(one) && Number(one) > 0),
  expected: 'only whole numbers above 0 are supported',
};

/** Strides that are null mean the size of the window. */
export const countsOrNull: Rule = { ...counts, accepts: (value) => value === null || counts.accepts(value) };

/** A mask of 1 along an axis is one for all of it; samples never share theirs. */
export const noiseShape: Rule = {
  accepts: (value) =>
    value === null ||
    (Array.isArray(value) && value[0] === null && value.every((one) => one === null || one === 1)),
  expected: 'only null (first of all) and 1 are supported',
};

/** Axes, however deep. */
export const wholeNumbers: Rule = {
  accepts: (value) => [value].flat(3).every(Number.isInteger),
  expected: 'only whole numbers are supported',
};

/** What tfjs-layers and Keras 2 compute alike. */
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
);

/** What Keras writes for l1_l2(0, 0). */
const isZeroPenalty = (regularizer: unknown): boolean =>
  isLayer(regularizer) &&
  ['L1', 'L2', 'L1L2'].includes(regularizer.class_name) &&
  Object.values(regularizer.config).every((weight) => weight === 0 || weight === null);

/** Workers compute the gradient of the loss alone. */
export const noPenalty: Rule = {
  accepts: (value) => value === null || isZeroPenalty(value),
  expected: 'no regularizer is supported',
};

/** Nothing holds weights within bounds after an update. */
export const noConstraint: Rule = {
  accepts: (value) => value === null,
  expected: 'no constraint is supported',
};

/** Checked by expandInitializers. */
export const initializer: Rule = { accepts: () => true, expected: 'an initializer' };

/** Sizes of which one may be left open: -1, or null as tfjs-layers writes it. */
export const sizesWithWildcard: Rule = {
  accepts: (value) => Array.isArray(value) && value.every((one) => one === null || Number.isInteger(one)),
  expected: 'only whole numbers are supported',
};

/** Axes that share one value: the first ones. WebAssembly's kernel repeats a tensor as a whole. */
export const firstAxes: Rule = {
  accepts: (value) =>
    value === 1 || (Array.isArray(value) && value.toSorted().every((axis, i) => axis === i + 1)),
  expected: 'supported are [1], [1, 2] and so on',
};

export const nested: Rule = { accepts: isLayer, expected: 'only a layer is supported' };

export const dtype: Rule = {
  accepts: (value) => value === null || value === 'float32',
  expected: 'only float32 is supported',
};

/** Keys of a layer's tensors: how they begin, and what keeps them small. */
export function tensors(...names: readonly string[]): Record<string, Rule> {
  return Object.fromEntries(
    names.flatMap((name) => [
      [`${name}_initializer`, initializer],
      [`${name}_regularizer`, noPenalty],
      [`${name}_constraint`, noConstraint],
    ]),
  );
}
