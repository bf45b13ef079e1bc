import * as v from 'valibot';
import { sanitizeForTerminal } from '../util/sanitize.ts';
import type { SchemaFields } from '../util/schema-fields.ts';

/** How the values of a tensor are stored: in files, in memory and in a shard's payload. */
export const DTYPES = ['uint8', 'int32', 'float32', 'bool'] as const;
export type DType = (typeof DTYPES)[number];

/** Largest number of elements of one sample in a tensor. */
const MAX_SAMPLE_ELEMENTS = 2 ** 24;
/** Largest number of bytes of one sample in all tensors. */
export const MAX_SAMPLE_BYTES = 2 ** 26;
const MAX_TENSORS = 16;

const finite = v.pipe(v.number(), v.finite());
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** Tensor of which every sample has one: an input or a target. */
export interface TensorSpec {
  readonly name: string;
  /** Shape of one sample: [28, 28, 1] for an image, [] for a number. */
  readonly shape: number[];
  readonly dtype: DType;
  /** A value is the stored one times `scale`, plus `offset`. @default 1 and 0 */
  readonly scale?: number | undefined;
  readonly offset?: number | undefined;
  /** If set, stored values are whole numbers from 0 that are below this: classes of a target, words of an input. */
  readonly classes?: number | undefined;
}

const tensorSpec = v.object({
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(200), v.transform(sanitizeForTerminal)),
  shape: v.pipe(
    v.array(size),
    v.maxLength(8),
    v.check((shape) => elementsOf(shape) <= MAX_SAMPLE_ELEMENTS, 'at most 2^24 elements'),
  ),
  dtype: v.picklist(DTYPES),
  scale: v.optional(finite),
  offset: v.optional(finite),
  classes: v.optional(v.pipe(size, v.maxValue(2 ** 31 - 1))),
} satisfies SchemaFields<TensorSpec>);

/** @internal List of tensors with different names. */
export const tensorSpecs = (minLength: number): v.GenericSchema<unknown, TensorSpec[]> =>
  v.pipe(
    v.array(tensorSpec),
    v.minLength(minLength),
    v.maxLength(MAX_TENSORS),
    v.check((specs) => new Set(specs.map(({ name }) => name)).size === specs.length, 'different names'),
  );

/** Tensors of every sample, in the order of a shard's payload. */
export interface SampleFormat {
  readonly inputs: readonly TensorSpec[];
  readonly targets: readonly TensorSpec[];
  /** Whether every sample has a weight. @default false */
  readonly sampleWeights?: boolean | undefined;
}

/** Stored values of a tensor; 0 and 1 for bool. */
export type TensorValues = Uint8Array | Int32Array | Float32Array;

const ARRAYS = {
  uint8: Uint8Array,
  int32: Int32Array,
  float32: Float32Array,
  bool: Uint8Array,
} as const;

const elementsOf = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

/** Number of elements of one sample. */
export const sampleSize = ({ shape }: Pick<TensorSpec, 'shape'>): number => elementsOf(shape);

/** Bytes of one element. */
export const elementBytes = ({ dtype }: Pick<TensorSpec, 'dtype'>): number => ARRAYS[dtype].BYTES_PER_ELEMENT;

/** Bytes of one sample in all tensors. */
export function sampleBytes({ inputs, targets, sampleWeights }: SampleFormat): number {
  const tensors = [...inputs, ...targets].reduce(
    (sum, spec) => sum + sampleSize(spec) * elementBytes(spec),
    0,
  );
  return tensors + (sampleWeights === true ? Float32Array.BYTES_PER_ELEMENT : 0);
}

/** Shapes for people: `[28, 28, 1]`, or `image [28, 28, 1] and size [2]` if there are several. */
export const describeShapes = (specs: readonly Pick<TensorSpec, 'name' | 'shape'>[]): string =>
  specs.map(({ name, shape }) => `${specs.length > 1 ? `${name} ` : ''}[${shape.join(', ')}]`).join(' and ');

/** Whether a sample is small enough to be sent. */
export const isSampleSmall = (format: SampleFormat): boolean => sampleBytes(format) <= MAX_SAMPLE_BYTES;

/** Constructor of arrays with a tensor's stored values. */
export const arrayOf = ({
  dtype,
}: Pick<TensorSpec, 'dtype'>): new (
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
) => TensorValues => ARRAYS[dtype];

/** Array for values of a tensor. */
export const createTensor = ({ dtype }: Pick<TensorSpec, 'dtype'>, length: number): TensorValues =>
  new ARRAYS[dtype](length);

/** Writes the float32 values of stored ones. @param target of the same length */
export function convertTensor(
  { dtype, scale = 1, offset = 0 }: TensorSpec,
  stored: TensorValues,
  target: Float32Array,
): void {
  if (dtype === 'bool')
    for (let i = 0; i < target.length; i++) target[i] = stored[i] === 0 ? offset : scale + offset;
  else if (offset !== 0)
    for (let i = 0; i < target.length; i++) target[i] = (stored[i] as number) * scale + offset;
  else if (scale !== 1) for (let i = 0; i < target.length; i++) target[i] = (stored[i] as number) * scale;
  else target.set(stored);
}

/** Factor from bytes of images to inputs of a model. */
export const BYTE_SCALE = 1 / 255;

/** Tensors of images and classes: one input `image`, one target `label`. */
export const imageTensors = (
  sampleShape: readonly number[],
  classes: number,
): { inputs: TensorSpec[]; targets: TensorSpec[] } => ({
  inputs: [{ name: 'image', shape: [...sampleShape], dtype: 'uint8', scale: BYTE_SCALE }],
  targets: [{ name: 'label', shape: [], dtype: 'uint8', classes }],
});
