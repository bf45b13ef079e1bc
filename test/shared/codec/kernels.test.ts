import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CodecKernels } from '../../../shared/codec/kernels/kernels.ts';
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

/** All bytes that a kernel's encoder makes, and all that its decoder makes of any bytes. */
function outcome(kernels: CodecKernels, values: Float32Array): Uint8Array[] {
  const { length } = values;
  const bytes = new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + 4 * length));
  const scales = (): Float32Array => new Float32Array(Math.ceil(length / 256));
  const halves = new Uint16Array(length);
  kernels.encodeFloat16(values, halves);
  const [scales8, integers] = [scales(), new Int8Array(length)];
  kernels.encodeInt8(values, scales8, integers);
  const [scales4, pairs] = [scales(), new Uint8Array((length + 1) >> 1)];
  kernels.encodeInt4(values, scales4, pairs);

  const decoded = Array.from({ length: 3 }, () => new Float32Array(length));
  kernels.decodeFloat16(new Uint16Array(bytes.buffer, 0, length), decoded[0]!);
  const given = values.slice(0, Math.ceil(length / 256));
  kernels.decodeInt8(given, new Int8Array(bytes.buffer, 0, length), decoded[1]!);
  kernels.decodeInt4(given, bytes.subarray(0, (length + 1) >> 1), decoded[2]!);
  const reversed = values.toReversed();
  for (const pass of ['add', 'addFlushed', 'subtract', 'subtractFinite'] as const) {
    const out = new Float32Array(length);
    kernels[pass](values, reversed, out);
    decoded.push(out);
    const inPlace = values.slice();
    kernels[pass](inPlace, reversed, inPlace);
    decoded.push(inPlace);
  }
  // The bits of NaN are nobody's business.
  for (const vector of [scales8, scales4, ...decoded]) {
    vector.forEach((value, i) => {
      if (Number.isNaN(value)) vector[i] = NaN;
    });
  }
  return [halves, scales8, integers, scales4, pairs, ...decoded].map(
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
    expect(outcome(simd, values)).toEqual(outcome(scalarKernels, values));
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
