import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type {
  CodecKernels,
  FormatKernels,
  PackedArray,
  PackedVector,
} from '../../../shared/codec/kernels/codec-kernels.ts';
import { scalarKernels } from '../../../shared/codec/kernels/scalar.ts';
import { codecKernels, simdKernels } from '../../../shared/codec/kernels/simd.ts';
import { checkProperty } from '../../support/property.ts';
import {
  anyBits,
  bitsOf,
  FINITE_PATTERNS,
  floatsOf,
  INFINITY_PATTERNS,
  lengths,
  NAN_PATTERNS,
  specialVectors,
} from '../../support/special-floats.ts';

const simd = simdKernels()!;
const BLOCK = 256;

it('codecKernels are the SIMD kernels on a platform with SIMD', () => {
  expect(simd).not.toBeNull();
  expect(codecKernels).not.toBe(scalarKernels);
});

/** Inputs of all operations of the kernels. */
interface Inputs {
  readonly values: Float32Array;
  /** Second operand, with as many values. */
  readonly others: Float32Array;
  /** One for each block of 256 values. */
  readonly scales: Float32Array;
  /** Two bytes for each value. */
  readonly bytes: Uint8Array;
  /** Number of elements before each vector in its memory. */
  readonly offset: number;
}

/** Memory after all operations of the kernels, with the bytes around the outputs. */
function outcome(kernels: CodecKernels, { values, others, scales, bytes, offset }: Inputs): Uint8Array {
  const { length } = values;
  const memories: Uint8Array[] = [];
  const allocate = (elementBytes: number, count: number): [buffer: ArrayBuffer, byteOffset: number] => {
    const memory = new Uint8Array((offset + count + 3) * elementBytes).fill(0xaa);
    memories.push(memory);
    return [memory.buffer, offset * elementBytes];
  };
  const floats = (count: number): Float32Array => new Float32Array(...allocate(4, count), count);
  const copyOf = (vector: Float32Array): Float32Array => {
    const copy = floats(vector.length);
    copy.set(vector);
    return copy;
  };
  const left = copyOf(values);
  const right = copyOf(others);
  const anyScales = copyOf(scales);

  function run<N extends PackedArray>(
    format: FormatKernels<N>,
    hasScales: boolean,
    numbersOf: () => N,
  ): void {
    const packed = (): PackedVector<N> => ({
      scales: floats(hasScales ? scales.length : 0),
      values: numbersOf(),
    });
    format.encode(left, packed());
    format.encodeDifference(left, right, packed());
    const residual = copyOf(others);
    format.encodeWithResidual(left, residual, packed());

    const anyNumbers = numbersOf();
    const raw = new Uint8Array(anyNumbers.buffer, anyNumbers.byteOffset, anyNumbers.byteLength);
    raw.set(bytes.subarray(0, raw.length));
    const hostile = { scales: hasScales ? anyScales : floats(0), values: anyNumbers };
    const inPlace = copyOf(values);
    format.decode(hostile, floats(length));
    format.decodeOnto(hostile, right, floats(length));
    format.decodeOnto(hostile, inPlace, inPlace);
  }
  run(kernels.float16, false, () => new Uint16Array(...allocate(2, length), length));
  run(kernels.int8, true, () => new Int8Array(...allocate(1, length), length));
  const pairs = (length + 1) >> 1;
  run(kernels.int4, true, () => new Uint8Array(...allocate(1, pairs), pairs));

  for (const pass of ['add', 'subtract', 'addFlushToZero'] as const) {
    const inPlace = copyOf(values);
    kernels[pass](left, right, floats(length));
    kernels[pass](inPlace, right, inPlace);
  }
  return Buffer.concat(memories);
}

const isEqual = (inputs: Inputs): boolean =>
  Buffer.compare(outcome(simd, inputs), outcome(scalarKernels, inputs)) === 0;

/** Inputs that use the reversed values as second operand, the values as scales and their bytes as numbers. */
const fromValues = (values: Float32Array, offset = 0): Inputs => ({
  values,
  others: values.toReversed(),
  scales: values.slice(0, Math.ceil(values.length / BLOCK)),
  bytes: new Uint8Array(values.slice().buffer),
  offset,
});

const inputs: fc.Arbitrary<Inputs> = lengths.chain((length) => {
  const blocks = Math.ceil(length / BLOCK);
  const exactly = fc.constant(length);
  return fc.record({
    values: specialVectors(exactly),
    others: specialVectors(exactly),
    scales: fc.array(anyBits, { minLength: blocks, maxLength: blocks }).map((bits) => floatsOf(bits)),
    bytes: fc.uint8Array({ minLength: 2 * length, maxLength: 2 * length }),
    offset: fc.nat(3),
  });
});

/** Vectors that once gave different bits: the sign of NaN came from either operand. */
const REGRESSIONS = [
  floatsOf([0, 0, 0, 0x7fc00000, 0xffc00000, 0, 0, 0]),
  floatsOf([0, 0, 0, 0xffc00001, 0x7fc00123, 0, 0, 0]),
];

describe('SIMD and scalar kernels write the same bytes', () => {
  it('for special values, lengths and offsets in memory', () => {
    checkProperty(fc.property(inputs, isEqual), {
      seed: 1667333101,
      numRuns: 500,
      examples: REGRESSIONS.map((values) => [fromValues(values)]),
    });
  });

  it('for any bits', () => {
    const words = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 600 });
    checkProperty(
      fc.property(words, (bits) => isEqual(fromValues(floatsOf(bits)))),
      { seed: 2, numRuns: 500, examples: REGRESSIONS.map((values) => [bitsOf(values)]) },
    );
  });

  it.each(REGRESSIONS.map((values) => [bitsOf(values)]))('for the bits %j', (bits) => {
    expect(isEqual(fromValues(floatsOf(bits)))).toBe(true);
  });

  // Around the ends of chunks, of blocks, of groups of 16 and of pairs.
  it.each([0, 1, 2, 15, 16, 17, 255, 256, 257, 300, 8191, 8192, 8193, 8448, 20_001])(
    'for %d values, with special ones in two of three blocks',
    (length) => {
      const finite = floatsOf(FINITE_PATTERNS);
      const special = floatsOf([...NAN_PATTERNS, ...FINITE_PATTERNS, ...INFINITY_PATTERNS]);
      const values = Float32Array.from(
        { length },
        (_, i) => Math.sin(i * 0.37) * 10 ** (-6 * Math.sin(i * 0.011) - 2),
      );
      for (let i = 0; i < length; i++) {
        const block = Math.floor(i / BLOCK) % 3;
        if (block > 0 && i % 7 === 0) {
          const source = block === 1 ? finite : special;
          const at = (i / 7) % source.length;
          values.set(source.subarray(at, at + 1), i);
        }
      }
      expect(isEqual(fromValues(values, 1))).toBe(true);
    },
  );

  it('for every half and for values between halves', () => {
    for (let part = 0; part < 8; part++) {
      const words = Uint32Array.from({ length: 1 << 16 }, (_, i) => (i << 16) | (part * 0x2aab));
      expect(isEqual(fromValues(floatsOf(words)))).toBe(true);
    }
  });

  it('for products of factors with special values', () => {
    const sides = fc.record({
      samples: fc.integer({ min: 1, max: 5 }),
      inputs: fc.integer({ min: 1, max: 9 }),
      outputs: fc.integer({ min: 1, max: 17 }),
    });
    const drawn = sides.chain((size) =>
      fc.record({
        size: fc.constant(size),
        a: specialVectors(fc.constant(size.samples * size.inputs)),
        b: specialVectors(fc.constant(size.samples * size.outputs)),
      }),
    );
    checkProperty(
      fc.property(drawn, ({ size, a, b }) => {
        const [one, other] = [simd, scalarKernels].map((kernels) => {
          const out = new Float32Array(size.inputs * size.outputs);
          kernels.multiplyFactors(a, b, out, size);
          return bitsOf(out);
        });
        expect(one).toEqual(other);
      }),
      { seed: 3, numRuns: 500 },
    );
  });
});
