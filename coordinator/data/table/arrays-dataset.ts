import { createHash } from 'node:crypto';
import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import type { Dataset, LazySplit, Split } from '../../../shared/data/dataset.ts';
import { pickSamples } from '../../../shared/data/shard.ts';
import {
  BYTE_SCALE,
  createTensor,
  type TensorSpec,
  type TensorValues,
} from '../../../shared/model/tensors.ts';
import type { ColumnType } from '../../../shared/data/preprocessing.ts';
import type { NpyArray } from './npy.ts';
import type { Divide } from './table-targets.ts';

/** Arrays of samples by their part; the names are those of Keras' mnist.npz, MedMNIST, or X and y. */
export interface NamedArray {
  /** Name without folder and extension. */
  readonly name: string;
  readonly array: NpyArray;
}

export interface ArraysOptions {
  /** Divides the samples if there is no test part. */
  readonly divide: Divide;
  /** Type of the target, which is named y. @default detected */
  readonly types?: Readonly<Record<string, ColumnType>> | undefined;
  /** Arrays that are larger stay on disk. @default 1 GiB */
  readonly maxBytes?: number | undefined;
}

const MAX_BYTES = 2 ** 30;
/** Labels stay in memory. */
const MAX_LABEL_BYTES = 2 ** 30;
const MAX_CLASSES = 1000;
/** Whole numbers of type float with at most so many different values are classes, as in a table. */
const MAX_FLOAT_CLASSES = 20;
const MIN_ROWS_PER_CLASS = 3;
const USUAL_CHANNELS = [1, 3, 4];
/** Rows that are read at a time, in bytes. */
const BLOCK_BYTES = 2 ** 24;

type Role = `${'x' | 'y'}_${'train' | 'test'}`;

const INPUT_WORDS = new Set(['x', 'image', 'images', 'data', 'input', 'inputs', 'feature', 'features']);
const TARGET_WORDS = new Set(['y', 'label', 'labels', 'target', 'targets', 'output', 'outputs']);

/** Part that an array's name says: x_train, X, test_labels, trainX; null for other names. */
export function roleOfArray(name: string): Role | 'x_val' | 'y_val' | null {
  // trainX, Xtrain and xtrain are two words.
  const words = name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/^([xyXY])(?=(?:train|test|val))/i, '$1_')
    .toLowerCase()
    .split(/[^a-z]+/);
  const isInput = words.some((word) => INPUT_WORDS.has(word));
  const isTarget = words.some((word) => TARGET_WORDS.has(word));
  if (isInput === isTarget) return null;
  const kind = isInput ? 'x' : 'y';
  if (words.includes('test') || words.includes('testing')) return `${kind}_test`;
  return words.some((word) => word.startsWith('val')) ? `${kind}_val` : `${kind}_train`;
}

/**
 * Data set of arrays: images, vectors or sequences with classes or numbers. Values stay as they are; bytes of images are
 * divided by 255.
 * @param testArrays x and y of the test part, if they have a file of their own
 * @returns also lines about what was found
 * @throws DataError if a part is missing or does not fit the others
 */
export async function arraysDataset(
  arrays: readonly NamedArray[],
  testArrays: readonly NamedArray[] | null,
  options: ArraysOptions,
  about: Pick<Dataset, 'name' | 'description'>,
): Promise<{ dataset: Dataset; lines: string[] }> {
  const parts = assignRoles(arrays);
  if (testArrays !== null) {
    const others = assignRoles(testArrays);
    const isWhole = others.x_test === undefined;
    Object.assign(
      parts,
      isWhole
        ? { x_test: others.x_train, y_test: others.y_train }
        : { x_test: others.x_test, y_test: others.y_test },
    );
  }
  const { x_train: x, y_train: y, x_test: xTest, y_test: yTest } = parts;
  const names = arrays.map(({ name }) => name).join(', ');
  const path = arrays[0]?.array.file.path ?? about.name;
  if (x === undefined || y === undefined) {
    throw new DataError(
      `${path}: expected arrays named x_train and y_train, or X and y, found ${names}. Rename them, or save both.`,
    );
  }
  if ((xTest === undefined) !== (yTest === undefined)) {
    throw new DataError(`${path}: expected both x_test and y_test, found ${names}. Save both, or neither.`);
  }
  const lines: string[] = [];
  const spec = inputSpec(x);
  requireRows(x, y);
  const trainLabels = await readLabels(y);
  const testLabels = yTest === undefined ? null : await readLabels(yTest);
  const target = targetSpec(y, trainLabels, testLabels, options.types?.y, lines);
  const inputs = await openInputs(x, options);
  const common = { ...about, inputs: [spec.tensor], targets: [target.tensor] };
  const train = { inputs, targets: target.convert(trainLabels), size: spec.size, targetSize: target.size };
  if (xTest !== undefined && yTest !== undefined && testLabels !== null) {
    requireRows(xTest, yTest);
    requireSame(x, xTest);
    const test = {
      inputs: await openInputs(xTest, options),
      targets: target.convert(testLabels),
      size: spec.size,
      targetSize: target.size,
    };
    return { dataset: { ...common, train: toSplit(train, null), test: toSplit(test, null) }, lines };
  }
  const isClass = target.tensor.classes !== undefined && target.size === 1;
  const count = x.dimensions[0] ?? 0;
  let numbers;
  try {
    numbers = options.divide(isClass ? train.targets : new Uint8Array(count));
  } catch (error) {
    if (error instanceof RangeError) throw new DataError(`${path}: ${error.message}`);
    throw error;
  }
  lines.push(
    `Validation: ${numbers.test.length} of ${count} samples, chosen at random${isClass ? ' with the same part of each class' : ''} (--validation-split, --test-data).`,
  );
  return {
    dataset: { ...common, train: toSplit(train, numbers.train), test: toSplit(train, numbers.test) },
    lines,
  };
}

function assignRoles(arrays: readonly NamedArray[]): Partial<Record<Role, NpyArray>> {
  const byRole = new Map<string, NpyArray>();
  for (const { name, array } of arrays) {
    const role = roleOfArray(name);
    if (role === null) continue;
    const twice = byRole.get(role);
    if (twice !== undefined) {
      throw new DataError(
        `${array.file.path} and ${twice.file.path} are both read as ${role}. Rename one of them.`,
      );
    }
    byRole.set(role, array);
  }
  const test = byRole.has('x_test') ? 'test' : 'val';
  const parts: [Role, NpyArray | undefined][] = [
    ['x_train', byRole.get('x_train')],
    ['y_train', byRole.get('y_train')],
    ['x_test', byRole.get(`x_${test}`)],
    ['y_test', byRole.get(`y_${test}`)],
  ];
  return Object.fromEntries(parts.filter(([, array]) => array !== undefined));
}

interface InputSpec {
  readonly tensor: TensorSpec;
  /** Elements of a sample. */
  readonly size: number;
}

/** Bytes of three or four dimensions are images; other arrays stay as they are. */
function inputSpec({ dimensions, type, dtype, file }: NpyArray): InputSpec {
  const [count = 0, ...shape] = dimensions;
  if (count === 0 || shape.includes(0)) {
    throw invalidFileError(
      file.path,
      'samples',
      `none: [${dimensions.join(', ')}]`,
      'Save an array with samples.',
    );
  }
  const size = shape.reduce((product, side) => product * side, 1);
  const [height = 0, width = 0, channels = 0] = shape;
  if (type === 'uint8' && shape.length === 2) {
    return { size, tensor: { name: 'image', shape: [height, width, 1], dtype, scale: BYTE_SCALE } };
  }
  if (type === 'uint8' && shape.length === 3) {
    if (!USUAL_CHANNELS.includes(channels) && USUAL_CHANNELS.includes(height)) {
      throw new DataError(
        `${file.path}: images of [${shape.join(', ')}] have their channels first. Save them with channels last: numpy.moveaxis(x, 1, -1).`,
      );
    }
    return { size, tensor: { name: 'image', shape: [height, width, channels], dtype, scale: BYTE_SCALE } };
  }
  return { size, tensor: { name: 'x', shape: shape.length === 0 ? [1] : shape, dtype } };
}

/** @throws DataError if samples and targets differ in number */
function requireRows(x: NpyArray, y: NpyArray): void {
  if (x.dimensions[0] === y.dimensions[0]) return;
  throw invalidFileError(
    y.file.path,
    `${x.dimensions[0]} targets, one for each sample of ${x.file.path}`,
    `${y.dimensions[0]}`,
    'Use arrays that belong together.',
  );
}

function requireSame(train: NpyArray, test: NpyArray): void {
  const describe = ({ dimensions, type }: NpyArray): string =>
    `${type} of [${dimensions.slice(1).join(', ')}]`;
  if (describe(train) === describe(test)) return;
  throw invalidFileError(
    test.file.path,
    `samples like the training samples, ${describe(train)}`,
    describe(test),
    'Save both in the same way.',
  );
}

interface Labels {
  readonly array: NpyArray;
  readonly values: TensorValues;
}

async function readLabels(array: NpyArray): Promise<Labels> {
  const [count = 0] = array.dimensions;
  if (array.bytes > MAX_LABEL_BYTES) {
    throw invalidFileError(
      array.file.path,
      `targets of at most ${MAX_LABEL_BYTES} bytes`,
      `${array.bytes}`,
      'Use fewer samples.',
    );
  }
  const values = await array.rows(0, count);
  requireFinite(values, array, 0);
  return { array, values };
}

function requireFinite(
  values: TensorValues,
  { file, dimensions, isFloat }: NpyArray,
  firstRow: number,
): void {
  if (!isFloat) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  const size = dimensions.slice(1).reduce((product, side) => product * side, 1);
  throw new DataError(
    `${file.path}: sample ${firstRow + Math.floor(at / size)}, counted from 0, has the value ${values[at]}. Replace it, or remove the sample.`,
  );
}

interface TargetSpec {
  readonly tensor: TensorSpec;
  /** Elements of a sample. */
  readonly size: number;
  readonly convert: (labels: Labels) => TensorValues;
}

/** Classes for whole numbers, one-hot rows and few different numbers; else numbers to estimate. */
function targetSpec(
  y: NpyArray,
  train: Labels,
  test: Labels | null,
  type: ColumnType | undefined,
  lines: string[],
): TargetSpec {
  const shape = y.dimensions
    .slice(1)
    .filter((side, axis, all) => !(all.length === 1 && side === 1 && axis === 0));
  const size = shape.reduce((product, side) => product * side, 1);
  const [width = 0] = shape;
  if (type !== 'number' && shape.length === 1 && width > 1 && isOneHot(train.values, width)) {
    lines.push(`Target: ${width} classes; rows with a single 1 are read as the class at its place.`);
    const convert = ({ array, values }: Labels): TensorValues => fromOneHot(values, width, array);
    return { size: 1, tensor: classTensor([], width), convert };
  }
  const all = [train, ...(test === null ? [] : [test])];
  const { min, max, isWhole, distinct } = describeLabels(all);
  const areClasses =
    type === 'category' ||
    (type !== 'number' &&
      isWhole &&
      min >= 0 &&
      max < MAX_CLASSES &&
      (!y.isFloat ||
        (distinct <= MAX_FLOAT_CLASSES && distinct * MIN_ROWS_PER_CLASS <= train.values.length)));
  if (areClasses) {
    if (!isWhole || min < 0 || max >= MAX_CLASSES) {
      throw new DataError(
        `${y.file.path}: expected classes from 0 to at most ${MAX_CLASSES - 1}, found numbers from ${min} to ${max}. Count classes from 0.`,
      );
    }
    const classes = Math.max(2, max + 1);
    const tensor = classTensor(shape, classes);
    lines.push(`Target: ${classes} classes${y.isFloat ? ' (--types y:number estimates the number)' : ''}.`);
    return {
      size,
      tensor,
      convert: ({ values }) => (tensor.dtype === 'uint8' ? Uint8Array.from(values) : Int32Array.from(values)),
    };
  }
  lines.push(
    `Target: ${size === 1 ? 'a number' : `${size} numbers`} (regression), from ${short(min)} to ${short(max)}.`,
  );
  return {
    size,
    tensor: { name: 'y', shape, dtype: 'float32' },
    convert: ({ values }) => Float32Array.from(values),
  };
}

const short = (value: number): string => String(Number(value.toPrecision(4)));

const classTensor = (shape: number[], classes: number): TensorSpec => ({
  name: 'label',
  shape,
  dtype: classes <= 256 ? 'uint8' : 'int32',
  classes,
});

function isOneHot(values: TensorValues, width: number): boolean {
  for (let row = 0; row < values.length; row += width) {
    let ones = 0;
    for (let i = 0; i < width; i++) {
      const value = values[row + i];
      if (value === 1) ones++;
      else if (value !== 0) return false;
    }
    if (ones !== 1) return false;
  }
  return values.length > 0;
}

function fromOneHot(values: TensorValues, width: number, { file }: NpyArray): TensorValues {
  if (!isOneHot(values, width)) {
    throw invalidFileError(
      file.path,
      'rows with a single 1 like the training targets',
      'other rows',
      'Save both in the same way.',
    );
  }
  const classes =
    width <= 256 ? new Uint8Array(values.length / width) : new Int32Array(values.length / width);
  for (let row = 0; row < classes.length; row++) {
    classes[row] = values.subarray(row * width, (row + 1) * width).indexOf(1);
  }
  return classes;
}

function describeLabels(labels: readonly Labels[]): {
  min: number;
  max: number;
  isWhole: boolean;
  distinct: number;
} {
  let min = Infinity;
  let max = -Infinity;
  let isWhole = true;
  const distinct = new Set<number>();
  for (const { values } of labels) {
    for (const value of values) {
      min = Math.min(min, value);
      max = Math.max(max, value);
      isWhole &&= Number.isInteger(value);
      if (distinct.size <= MAX_FLOAT_CLASSES) distinct.add(value);
    }
  }
  return { min, max, isWhole, distinct: distinct.size };
}

/** Values in memory, or an array whose rows are read when they are needed. */
type Inputs = { readonly values: TensorValues } | { readonly array: NpyArray };

async function openInputs(array: NpyArray, { maxBytes = MAX_BYTES }: ArraysOptions): Promise<Inputs> {
  const { dimensions, bytes, canReadRows, file } = array;
  const [count = 0] = dimensions;
  if (bytes > maxBytes) {
    if (canReadRows) return { array };
    throw new DataError(
      `${file.path} has ${bytes} bytes in Fortran order, in which no single sample can be read. Save numpy.ascontiguousarray(x).`,
    );
  }
  const values = await array.rows(0, count);
  requireFinite(values, array, 0);
  return { values };
}

interface Source {
  readonly inputs: Inputs;
  readonly targets: TensorValues;
  readonly size: number;
  readonly targetSize: number;
}

/** @param numbers samples of the part; null for all */
function toSplit({ inputs, targets, size, targetSize }: Source, numbers: Uint32Array | null): Split {
  const count = numbers?.length ?? targets.length / targetSize;
  const whole = {
    inputs: 'values' in inputs ? [inputs.values] : [],
    targets: [targets],
    count: targets.length / targetSize,
  };
  const part = numbers === null ? whole : pickSamples(whole, numbers);
  if ('values' in inputs) return { count, inputs: part.inputs, targets: part.targets };
  return lazySplit(inputs.array, part.targets[0] as TensorValues, { count, size, targetSize, numbers });
}

function lazySplit(
  array: NpyArray,
  targets: TensorValues,
  {
    count,
    size,
    targetSize,
    numbers,
  }: { count: number; size: number; targetSize: number; numbers: Uint32Array | null },
): LazySplit {
  const { file, dtype } = array;
  const hash = createHash('sha256').update(file.stamp);
  for (const { buffer, byteOffset, byteLength } of [targets, numbers ?? targets]) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return {
    count,
    ...(targetSize === 1 && !(targets instanceof Float32Array) ? { labels: targets } : {}),
    digest: hash.digest('hex'),
    async read(wanted) {
      const values = createTensor({ dtype }, wanted.length * size);
      const rows = Array.from(wanted, (number, place) => ({ row: numbers?.[number] ?? number, place }));
      rows.sort((a, b) => a.row - b.row);
      for (const run of runsOf(rows, Math.max(1, Math.floor(BLOCK_BYTES / (4 * size))))) {
        const [first] = run;
        if (first === undefined) continue;
        const read = await array.rows(first.row, (run.at(-1)?.row ?? 0) - first.row + 1);
        requireFinite(read, array, first.row);
        for (const { row, place } of run) {
          const from = (row - first.row) * size;
          values.set(read.subarray(from, from + size), place * size);
        }
      }
      return { ...pickSamples({ inputs: [], targets: [targets], count }, wanted), inputs: [values] };
    },
  };
}

interface WantedRow {
  readonly row: number;
  readonly place: number;
}

/** Groups of rows that follow each other on the disk. */
function runsOf(rows: readonly WantedRow[], limit: number): WantedRow[][] {
  const runs: WantedRow[][] = [];
  for (const wanted of rows) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const first = run?.[0];
    if (
      run !== undefined &&
      last !== undefined &&
      first !== undefined &&
      wanted.row <= last.row + 1 &&
      wanted.row - first.row < limit
    )
      run.push(wanted);
    else runs.push([wanted]);
  }
  return runs;
}
