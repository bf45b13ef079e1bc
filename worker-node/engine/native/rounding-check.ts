import { codecKernels } from '../../../shared/codec/kernels/simd.ts';
import { sizeOf } from '../../../shared/model/layout.ts';
import type { Binding } from './backend.ts';
import { NativeTensors } from './native-tensors.ts';

type Shapes = readonly (readonly number[])[];

/** Pairs of these values show whether a sum flushes subnormal values, and how it rounds. */
const ROUNDING_VALUES = [
  0,
  -0,
  1e-39,
  -1e-39,
  1.5e-38,
  -1.2e-38,
  2 ** -126,
  1,
  -1 - 2 ** -23,
  2 ** -24,
  1e30,
  -3e38,
];

/** @param repeats how often each value is repeated in a row */
const roundingValues = (shapes: Shapes, repeats: number): Float32Array =>
  Float32Array.from(
    { length: Math.max(0, ...shapes.map((shape) => sizeOf([...shape]))) },
    (_, i) => ROUNDING_VALUES[Math.floor(i / repeats) % ROUNDING_VALUES.length] as number,
  );

/** Whether TensorFlow adds with the bits of addFlushToZero, checked at every position of tensors of these shapes. */
export function addMatchesReference(binding: Binding, shapes: Shapes): boolean {
  const leftValues = roundingValues(shapes, 1);
  const rightValues = roundingValues(shapes, ROUNDING_VALUES.length);
  const reference = new Float32Array(leftValues.length);
  codecKernels.addFlushToZero(leftValues, rightValues, reference);
  const left = NativeTensors.of(binding, leftValues, shapes);
  const right = NativeTensors.of(binding, rightValues, shapes);
  const sum = left.add(right, shapes.length);
  const expected = NativeTensors.of(binding, reference, shapes);
  const isEqual = sameBitsInAll(sum, expected, shapes.length);
  for (const tensors of [left, right, sum, expected]) tensors.dispose();
  return isEqual;
}

/**
 * Whether a graph that adds its result to tensors does so with the same bits as TensorFlow outside of graphs.
 * @param right result of the same graph without the addition: tensors of these shapes, then one that is not added; disposed of
 *   here
 * @param add runs the graph; its result is disposed of here
 */
export function graphAddMatches(
  binding: Binding,
  shapes: Shapes,
  right: NativeTensors,
  add: (left: NativeTensors) => NativeTensors,
): boolean {
  const left = NativeTensors.of(binding, roundingValues(shapes, 1), shapes);
  const sum = left.add(right, shapes.length);
  const added = add(left);
  const isEqual =
    sameBitsInAll(sum, added, shapes.length) &&
    sameBits(added.read(shapes.length), right.read(shapes.length));
  for (const tensors of [left, right, sum, added]) tensors.dispose();
  return isEqual;
}

export const sameBits = (one: Float32Array, other: Float32Array): boolean =>
  viewBytes(one).equals(viewBytes(other));

const viewBytes = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Compares the first `count` tensors. */
const sameBitsInAll = (one: NativeTensors, other: NativeTensors, count: number): boolean =>
  Array.from({ length: count }, (_, i) => sameBits(one.read(i), other.read(i))).every(Boolean);
