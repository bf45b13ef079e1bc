import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CodecKernels, FormatKernels, Numbers, Packed } from '../../../shared/codec/kernels/kernels.ts';
import { scalarKernels } from '../../../shared/codec/kernels/scalar.ts';
import { codecKernels, simdKernels } from '../../../shared/codec/kernels/simd.ts';

const simd = simdKernels()!;

it('SIMD is what serves, where there is any', () => {
  expect(simd).not.toBeNull();
  expect(codecKernels).not.toBe(scalarKernels);
});

/** Around the ends of parts, of blocks, of groups of 16 and of pairs. */
const lengths = [0, 1, 2, 15, 16, 17, 255, 256, 257, 300, 8191, 8192, 8193, 8448, 20_001];
const bits = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** Any 32 bits: NaN, infinities and subnormal values among them. */
const anything = fc.array(bits, { maxLength: 600 }).map((words) => floatsOf(Uint32Array.from(words)));
const floatsOf = ({ buffer }: Uint32Array): Float32Array => new Float32Array(buffer as ArrayBuffer);
const some = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 0.37) * 10 ** (-6 * Math.sin(i * 0.011) - 2));

/** All bytes that a kernel's passes make: of values, and of any bytes. */
function outcome(kernels: CodecKernels, values: Float32Array): Uint8Array[] {
  const { length } = values;
  const blocks = Math.ceil(length / 256);
  const bytes = new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + 4 * length));
  const others = values.toReversed();
  const floats: Float32Array[] = [];
  const numbers: Numbers[] = [];

  function run<N extends Numbers>(
    format: FormatKernels<N>,
    scales: number,
    numbersOf: () => N,
    given: N,
  ): void {
    const packed = (): Packed<N> => {
      const made = { scales: new Float32Array(scales), numbers: numbersOf() };
      floats.push(made.scales);
      numbers.push(made.numbers);
      return made;
    };
    format.encode(values, packed());
    format.encodeDifference(values, others, packed());
    const owed = others.slice();
    format.encodeOwed(values, owed, packed());
    const [decoded, onto, inPlace] = [new Float32Array(length), new Float32Array(length), values.slice()];
    const anyPacked = { scales: values.slice(0, scales), numbers: given };
    format.decode(anyPacked, decoded);
    format.decodeOnto(anyPacked, others, onto);
    format.decodeOnto(anyPacked, inPlace, inPlace);
    floats.push(owed, decoded, onto, inPlace);
  }
  run(kernels.float16, 0, () => new Uint16Array(length), new Uint16Array(bytes.buffer, 0, length));
  run(kernels.int8, blocks, () => new Int8Array(length), new Int8Array(bytes.buffer, 0, length));
  const pairs = (length + 1) >> 1;
  run(kernels.int4, blocks, () => new Uint8Array(pairs), bytes.subarray(0, pairs));

  for (const pass of ['add', 'addFlushed'] as const) {
    const [out, inPlace] = [new Float32Array(length), values.slice()];
    kernels[pass](values, others, out);
    kernels[pass](inPlace, others, inPlace);
    floats.push(out, inPlace);
  }
  // The bits of NaN are nobody's business.
  for (const vector of floats) {
    vector.forEach((value, i) => {
      if (Number.isNaN(value)) vector[i] = NaN;
    });
  }
  return [...numbers, ...floats].map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
}

describe('SIMD and scalar make the same bytes', () => {
  it('of any values', () => {
    fc.assert(
      fc.property(anything, (values) => {
        const [a, b] = [outcome(simd, values), outcome(scalarKernels, values)];
        return a.every((bytes, i) => Buffer.compare(bytes, b[i]!) === 0);
      }),
      { numRuns: 500 },
    );
  });

  it.each(lengths)('of %d values', (length) => {
    const values = some(length);
    const [a, b] = [simd, scalarKernels].map((kernels) => Buffer.concat(outcome(kernels, values)));
    expect(Buffer.compare(a!, b!)).toBe(0);
  });

  it('of every half, and of values between them', () => {
    for (let part = 0; part < 8; part++) {
      const words = Uint32Array.from({ length: 1 << 16 }, (_, i) => (i << 16) | (part * 0x2aab));
      const values = floatsOf(words);
      expect(
        Buffer.compare(Buffer.concat(outcome(simd, values)), Buffer.concat(outcome(scalarKernels, values))),
      ).toBe(0);
    }
  });
});

it.each([
  ['SIMD', simd],
  ['scalar', scalarKernels],
])('%s: a flushed sum takes subnormal values for zeros of their sign, before and after', (_, kernels) => {
  const tiny = 1e-39;
  const left = Float32Array.of(tiny, -tiny, 1.5e-38, -1.5e-38, 2 ** -126, tiny, 1, 2 ** -127);
  const right = Float32Array.of(tiny, -tiny, -1.2e-38, 1.2e-38, 0, 1, -1, 2 ** -127);
  const sum = new Float32Array(8);
  kernels.addFlushed(left, right, sum);
  expect([...sum]).toEqual([0, -0, 0, -0, 2 ** -126, 1, 0, 0]);
});
