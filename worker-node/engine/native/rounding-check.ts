import { codecKernels } from '../../../shared/codec/kernels/simd.ts';
import { sizeOf } from '../../../shared/model/layout.ts';
import type { Binding } from './backend.ts';
import { NativeTensors } from './native-tensors.ts';

type Shapes = readonly (readonly number[])[];

/** Pairs of these tell a sum that flushes subnormal values from one that does not, and show how it rounds. */
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

/** @param run how often each value is repeated */
const roundingValues = (shapes: Shapes, run: number): Float32Array =>
  Float32Array.from(
    { length: Math.max(0, ...shapes.map((shape) => sizeOf([...shape]))) },
    (_, i) => ROUNDING_VALUES[Math.floor(i / run) % ROUNDING_VALUES.length] as number,
  );

/** Whether TensorFlow gives the bits of addFlushed, tried in every place of tensors of these shapes. */
export function addMatchesReference(binding: Binding, shapes: Shapes): boolean {
  const [left, right] = [roundingValues(shapes, 1), roundingValues(shapes, ROUNDING_VALUES.length)];
  const defined = new Float32Array(left.length);
  codecKernels.addFlushToZero(left, right, defined);
  const [one, other] = [NativeTensors.of(binding, left, shapes), NativeTensors.of(binding, right, shapes)];
  const sum = one.add(other, shapes.length);
  const expected = NativeTensors.of(binding, defined, shapes);
  const alike = sameBitsInAll(sum, expected, shapes.length);
  for (const tensors of [one, other, sum, expected]) tensors.dispose();
  return alike;
}

/**
 * Whether a graph that adds to what it is given does it as TensorFlow does outside of graphs, to the bit.
 * @param right what the same graph gives without adding: of these shapes, and behind them one more that stays as it is;
 *   disposed of, as what the graph gives is
 * @param add runs the graph
 */
export function graphAddMatches(
  binding: Binding,
  shapes: Shapes,
  right: NativeTensors,
  add: (left: NativeTensors) => NativeTensors,
): boolean {
  const left = NativeTensors.of(binding, roundingValues(shapes, 1), shapes);
  const [sum, added] = [left.add(right, shapes.length), add(left)];
  const alike =
    sameBitsInAll(sum, added, shapes.length) &&
    sameBits(added.read(shapes.length), right.read(shapes.length));
  for (const tensors of [left, right, sum, added]) tensors.dispose();
  return alike;
}

export const sameBits = (one: Float32Array, other: Float32Array): boolean =>
  viewBytes(one).equals(viewBytes(other));

const viewBytes = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Of the first `count` tensors. */
const sameBitsInAll = (some: NativeTensors, others: NativeTensors, count: number): boolean =>
  Array.from({ length: count }, (_, i) => sameBits(some.read(i), others.read(i))).every(Boolean);
