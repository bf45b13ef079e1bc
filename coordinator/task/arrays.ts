import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset, StoredDataset, StoredSplit } from '../../shared/data/dataset.ts';
import { isRecord } from '../../shared/model/keras-layer.ts';
import { createTensor, sampleSize, type TensorSpec, type TensorValues } from '../../shared/model/tensors.ts';
import { epochOrder } from '../training/sampler.ts';
import type { ArrayData, ArrayValues } from './task.ts';

/** Part of the samples that is set apart for tests if none are given. */
const TEST_FRACTION = 0.2;
const MAX_CLASSES = 2 ** 31 - 1;
const MAX_DEPTH = 9;

type NamedArrays = Readonly<Record<string, ArrayValues>>;

/** Samples of one tensor. */
interface Samples {
  readonly spec: TensorSpec;
  readonly values: TensorValues;
  readonly count: number;
}

/**
 * Data set of arrays. Targets of whole numbers from 0, one a sample, are classes, unless they are a Float32Array.
 * @param seed draws the test samples if none are given
 * @throws DataError with a sentence if arrays have no samples or do not belong together
 */
export function arrayDataset(data: ArrayData, seed: number): StoredDataset {
  const { x, y, xTest, yTest, sampleWeights, name = 'arrays' } = data;
  if ((xTest === undefined) !== (yTest === undefined))
    throw new DataError(`${name}: xTest and yTest belong together. Give both or neither.`);
  const inputs = readTensors(x, `${name}: x`, 'x').map(withoutClasses);
  const targets = readTensors(y, `${name}: y`, 'y');
  const whole = splitOf(inputs, targets, name);
  const weights = sampleWeights === undefined ? null : readWeights(sampleWeights, whole.count, name);
  const weighted = weights === null ? whole : { ...whole, weights };
  const tests =
    xTest === undefined || yTest === undefined
      ? null
      : {
          inputs: readLike(xTest, inputs.map(specOf), `${name}: xTest`),
          targets: readLike(yTest, targets.map(specOf), `${name}: yTest`),
        };
  const [train, test] =
    tests === null ? drawTest(weighted, seed, name) : [weighted, splitOf(tests.inputs, tests.targets, name)];
  const withAllClasses = (spec: TensorSpec, i: number): TensorSpec =>
    spec.classes === undefined
      ? spec
      : { ...spec, classes: Math.max(spec.classes, countClasses(tests?.targets[i]?.values ?? []) ?? 0) };
  return {
    name,
    description: `${name}: ${train.count} samples to train on, ${test.count} to test.`,
    inputs: inputs.map(specOf),
    targets: targets.map(specOf).map(withAllClasses),
    train,
    test,
  };
}

/**
 * Split of samples as a model takes them.
 * @throws DataError with a sentence if the samples are others
 */
export const readSplit = (
  { x, y, name = 'arrays' }: Pick<ArrayData, 'x' | 'y' | 'name'>,
  { inputs, targets }: Pick<Dataset, 'inputs' | 'targets'>,
): StoredSplit => splitOf(readLike(x, inputs, `${name}: x`), readLike(y, targets, `${name}: y`), name);

/**
 * Inputs as a model takes them.
 * @throws DataError with a sentence if the samples are others
 */
export function readInputs(
  given: ArrayValues | NamedArrays,
  inputs: readonly TensorSpec[],
): Omit<StoredSplit, 'targets'> {
  const read = readLike(given, inputs, 'The inputs');
  return { inputs: read.map(({ values }) => values), count: countSamples(read, 'The inputs') };
}

const specOf = ({ spec }: Samples): TensorSpec => spec;

function withoutClasses({ spec: { classes: _, ...spec }, ...samples }: Samples): Samples {
  return { ...samples, spec };
}

const splitOf = (inputs: readonly Samples[], targets: readonly Samples[], name: string): StoredSplit => ({
  inputs: inputs.map(({ values }) => values),
  targets: targets.map(({ values }) => values),
  count: countSamples([...inputs, ...targets], name),
});

/** @throws DataError if the tensors have different numbers of samples */
function countSamples(tensors: readonly Samples[], name: string): number {
  const [first] = tensors;
  const other = tensors.find(({ count }) => count !== first?.count);
  if (first !== undefined && other !== undefined) {
    throw new DataError(
      `${name}: ${first.spec.name} has ${first.count} samples, and ${other.spec.name} has ${other.count}. Give each sample all of its values.`,
    );
  }
  return first?.count ?? 0;
}

/** Sets a part of the samples apart. @throws DataError if there are too few */
function drawTest(whole: StoredSplit, seed: number, name: string): readonly [StoredSplit, StoredSplit] {
  const { count } = whole;
  if (count < 2) throw new DataError(`${name}: one sample cannot be split. Give xTest and yTest too.`);
  const order = epochOrder(seed, 0, count);
  const testCount = Math.max(1, Math.round(count * TEST_FRACTION));
  const pick = (numbers: Uint32Array): StoredSplit => ({
    inputs: whole.inputs.map((values) => pickRows(values, numbers, count)),
    targets: whole.targets.map((values) => pickRows(values, numbers, count)),
    ...(whole.weights === undefined ? {} : { weights: pickRows(whole.weights, numbers, count) }),
    count: numbers.length,
  });
  return [pick(order.slice(testCount).sort()), pick(order.slice(0, testCount).sort())];
}

function pickRows<Values extends TensorValues>(values: Values, numbers: Uint32Array, count: number): Values {
  const size = values.length / count;
  const picked = values.slice(0, numbers.length * size) as Values;
  numbers.forEach((number, i) => picked.set(values.subarray(number * size, (number + 1) * size), i * size));
  return picked;
}

const isNamed = (given: ArrayValues | NamedArrays): given is NamedArrays =>
  isRecord(given) && !ArrayBuffer.isView(given) && !('values' in given && 'shape' in given);

/** @throws DataError with a sentence */
function readTensors(given: ArrayValues | NamedArrays, where: string, name: string): Samples[] {
  if (!isNamed(given)) return [readTensor(given, name, where)];
  const entries = Object.entries(given);
  if (entries.length === 0) throw new DataError(`${where} has no tensor. Name at least one.`);
  return entries.map(([key, values]) => readTensor(values, key, `${where}.${key}`));
}

/** Samples with the shapes and types of others. @throws DataError with a sentence */
function readLike(given: ArrayValues | NamedArrays, specs: readonly TensorSpec[], where: string): Samples[] {
  const named: NamedArrays | null = isNamed(given) ? given : null;
  if (named === null && specs.length !== 1)
    throw new DataError(`${where} needs ${specs.map(({ name }) => name).join(' and ')}, each by its name.`);
  return specs.map((spec) => {
    const values = named === null ? (given as ArrayValues) : named[spec.name];
    if (values === undefined) throw new DataError(`${where}.${spec.name} is missing.`);
    const read = readTensor(values, spec.name, where, spec.shape);
    if (read.spec.shape.join() !== spec.shape.join()) {
      throw new DataError(
        `${where} has samples of [${read.spec.shape.join(', ')}], but the model was made for [${spec.shape.join(', ')}].`,
      );
    }
    return { ...read, spec, values: convert(read.values, spec, where) };
  });
}

/** @throws DataError if the stored type cannot hold a value */
function convert(values: TensorValues, spec: TensorSpec, where: string): TensorValues {
  const converted = createTensor(spec, values.length);
  if (converted.constructor === values.constructor) return values;
  converted.set(values);
  const lost = spec.dtype === 'float32' ? -1 : values.findIndex((value, i) => value !== converted[i]);
  if (lost === -1) return converted;
  throw new DataError(
    `${where} holds ${values[lost]}, but the model was trained on ${spec.dtype}${spec.dtype === 'uint8' ? ', whole numbers from 0 to 255' : ''}.`,
  );
}

/**
 * @param sampleShape shape of one sample, for a typed array without a shape
 * @throws DataError with a sentence if these are no numbers, or nested unevenly
 */
function readTensor(
  given: ArrayValues,
  name: string,
  where: string,
  sampleShape: readonly number[] = [],
): Samples {
  const { values, shape } = flatten(given, where, sampleShape);
  const [count = 0, ...ofSample] = shape;
  if (count === 0) throw new DataError(`${where} has no samples.`);
  const dtype = values instanceof Float32Array ? 'float32' : values instanceof Int32Array ? 'int32' : 'uint8';
  const classes = ofSample.length === 0 && dtype !== 'float32' ? countClasses(values) : null;
  const spec: TensorSpec = { name, shape: ofSample, dtype, ...(classes === null ? {} : { classes }) };
  return { spec, values, count };
}

/** Number of classes; null if the values are none. */
function countClasses(values: Iterable<number>): number | null {
  let highest = 1;
  for (const value of values) {
    if (value < 0 || value >= MAX_CLASSES) return null;
    highest = Math.max(highest, value);
  }
  return highest + 1;
}

interface FlatArray {
  readonly values: TensorValues;
  /** Samples first. */
  readonly shape: readonly number[];
}

const isTyped = (given: unknown): given is TensorValues =>
  given instanceof Uint8Array || given instanceof Int32Array || given instanceof Float32Array;

function flatten(given: unknown, where: string, sampleShape: readonly number[]): FlatArray {
  if (isTyped(given)) {
    const size = sampleSize({ shape: [...sampleShape] });
    if (given.length % size === 0) return { values: given, shape: [given.length / size, ...sampleShape] };
    throw new DataError(
      `${where} has ${given.length} values, which are no whole number of samples of [${sampleShape.join(', ')}].`,
    );
  }
  if (Array.isArray(given)) return flattenList(given, where);
  if (isRecord(given) && isTyped(given.values) && Array.isArray(given.shape)) {
    const { values, shape } = given as unknown as FlatArray;
    const isWhole = shape.every((side) => Number.isSafeInteger(side) && side > 0);
    if (isWhole && sampleSize({ shape: [...shape] }) === values.length) return { values, shape };
    throw new DataError(
      `${where} has ${values.length} values, which do not fill the shape [${shape.join(', ')}]. The number of samples is the first side.`,
    );
  }
  throw new DataError(
    `${where} is no list of numbers. Give nested lists, a Uint8Array, an Int32Array, a Float32Array, or one with its shape.`,
  );
}

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value) || isTyped(value);

/** Values of nested lists: int32 if all are whole numbers, else float32. */
function flattenList(list: readonly unknown[], where: string): FlatArray {
  const shape: number[] = [];
  for (let level: unknown = list; isList(level) && shape.length < MAX_DEPTH; level = level[0])
    shape.push(level.length);
  const numbers: number[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (depth === shape.length) {
      if (typeof value !== 'number')
        throw new DataError(`${where} holds ${describeValue(value)}, which is no number.`);
      numbers.push(value);
      return;
    }
    if (!isList(value) || value.length !== shape[depth])
      throw new DataError(`${where} is nested unevenly: all lists of a level need one length.`);
    for (const member of value) visit(member, depth + 1);
  };
  visit(list, 0);
  const isWhole = numbers.every((value) => Number.isInteger(value) && Math.abs(value) <= MAX_CLASSES);
  return { values: isWhole ? Int32Array.from(numbers) : Float32Array.from(numbers), shape };
}

const describeValue = (value: unknown): string =>
  typeof value === 'object' && value !== null ? 'an object' : JSON.stringify(value);

/** @throws DataError with a sentence */
function readWeights(given: ArrayValues, count: number, name: string): Float32Array {
  const { values, shape } = flatten(given, `${name}: sampleWeights`, []);
  if (shape.length === 1 && values.length === count) return Float32Array.from(values);
  throw new DataError(
    `${name}: sampleWeights has ${values.length} values for ${count} samples. Give one for each sample.`,
  );
}
