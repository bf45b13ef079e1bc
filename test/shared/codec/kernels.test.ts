import { describe, expect, it } from 'vitest';
import type { FormatKernels, PackedArray } from '../../../shared/codec/kernels/codec-kernels.ts';
import { scalarKernels } from '../../../shared/codec/kernels/scalar.ts';
import { simdKernels } from '../../../shared/codec/kernels/simd.ts';
import { bitsOf, floatsOf, INFINITY_PATTERNS, NAN_BITS, NAN_PATTERNS } from '../../support/special-floats.ts';

const simd = simdKernels()!;
const BLOCK = 256;

const hex = (bits: readonly number[]): string[] => bits.map((value) => value.toString(16).padStart(8, '0'));
/** Vector followed by zeros, in two blocks and a part of a third. */
const padded = (values: Float32Array, length: number): Float32Array => {
  const all = new Float32Array(length);
  all.set(values);
  return all;
};

describe.each([
  ['SIMD', simd],
  ['scalar', scalarKernels],
])('the %s kernels', (_, kernels) => {
  it('encode special values in half precision', () => {
    const pairs: [float: number, half: number][] = [
      ...NAN_PATTERNS.map((bits): [number, number] => [bits, 0x7e00]),
      [0x7f800000, 0x7c00], // Infinity
      [0xff800000, 0xfc00],
      [0x00000000, 0x0000],
      [0x80000000, 0x8000], // -0
      [0x00000001, 0x0000], // the least subnormal float32
      [0x807fffff, 0x8000],
      [0x33000000, 0x0000], // 2^-25, half-way between 0 and the least half: to the even one
      [0x33000001, 0x0001],
      [0xb3000001, 0x8001],
      [0x33800000, 0x0001], // 2^-24
      [0x33c00000, 0x0002], // 1.5 x 2^-24, half-way
      [0x387fe000, 0x0400], // half-way between the largest subnormal half and the least normal one
      [0x477fe000, 0x7bff], // 65504
      [0x47800000, 0x7bff], // 65536
      [0xc7800000, 0xfbff],
      [0x7f7fffff, 0x7bff], // the largest float32
    ];
    const values = new Uint16Array(pairs.length);
    kernels.float16.encode(floatsOf(pairs.map(([float]) => float)), { scales: new Float32Array(0), values });
    expect([...values]).toEqual(pairs.map(([, half]) => half));
  });

  it('decode special halves', () => {
    const pairs: [half: number, float: number][] = [
      [0x7e00, NAN_BITS],
      [0xfe00, NAN_BITS],
      [0x7c01, NAN_BITS],
      [0xffff, NAN_BITS],
      [0x7c00, 0x7f800000],
      [0xfc00, 0xff800000],
      [0x0000, 0x00000000],
      [0x8000, 0x80000000],
      [0x0001, 0x33800000],
      [0x83ff, 0xb87fc000],
      [0x7bff, 0x477fe000],
    ];
    // Also one at a time, because SIMD detects special halves in groups of eight.
    for (const some of [pairs, ...pairs.map((pair) => [pair, [0x3c00, 0x3f800000] as const])]) {
      const numbers = Uint16Array.from(some, ([half]) => half);
      const values = new Float32Array(some.length);
      kernels.float16.decode({ scales: new Float32Array(0), values: numbers }, values);
      expect(hex(bitsOf(values))).toEqual(hex(some.map(([, float]) => float)));
    }
  });

  const formats = [
    ['int8', kernels.int8, () => new Int8Array(600)],
    ['int4', kernels.int4, () => new Uint8Array(300)],
  ] as [string, FormatKernels<PackedArray>, () => PackedArray][];

  it.each(formats)('%s: a value that is not finite makes only its block NaN', (__, format, allocate) => {
    for (const bad of [...NAN_PATTERNS, ...INFINITY_PATTERNS]) {
      for (const at of [0, 255, 256, 511, 512, 599]) {
        const values = new Float32Array(600).fill(1);
        values.set(floatsOf([bad]), at);
        const packed = { scales: new Float32Array(3), values: allocate() };
        format.encode(values, packed);
        const scale = allocate().length === 600 ? 1 / 127 : 1 / 7;
        const block = Math.floor(at / BLOCK);
        const expected = new Float32Array(3).fill(scale);
        expected.set(floatsOf([NAN_BITS]), block);
        expect(hex(bitsOf(packed.scales))).toEqual(hex(bitsOf(expected)));

        const decoded = new Float32Array(600);
        format.decode(packed, decoded);
        const bits = bitsOf(decoded);
        expect(new Set(bits.slice(block * BLOCK, (block + 1) * BLOCK))).toEqual(new Set([NAN_BITS]));
        expect(bits.filter((value) => value === NAN_BITS)).toHaveLength(block === 2 ? 88 : BLOCK);
      }
    }
  });

  it('write zero integers for a scale of NaN', () => {
    const values = floatsOf([0x3f800000, NAN_BITS, 0x7f800000, 0xff800000, 0xbf800000]);
    const bytes = { scales: new Float32Array(1), values: new Int8Array(5).fill(-86) };
    const pairs = { scales: new Float32Array(1), values: new Uint8Array(3).fill(0xaa) };
    kernels.int8.encode(values, bytes);
    kernels.int4.encode(values, pairs);
    expect([...bytes.values, ...pairs.values]).toEqual(Array(8).fill(0));
  });

  it('encode zeros of both signs, subnormal values and values below 2^-100 as a block of zeros', () => {
    for (const bits of [0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x0d7fffff]) {
      const bytes = { scales: new Float32Array(1).fill(9), values: new Int8Array(3).fill(9) };
      kernels.int8.encode(floatsOf([bits, bits, bits]), bytes);
      expect([...bitsOf(bytes.scales), ...bytes.values]).toEqual([0, 0, 0, 0]);
      const pairs = { scales: new Float32Array(1).fill(9), values: new Uint8Array(2).fill(9) };
      kernels.int4.encode(floatsOf([bits, bits, bits]), pairs);
      expect([...bitsOf(pairs.scales), ...pairs.values]).toEqual([0, 0, 0]);
    }
    const bytes = { scales: new Float32Array(1), values: new Int8Array(2) };
    kernels.int8.encode(floatsOf([0x0d800000, 0x8d800000]), bytes);
    expect([...bytes.values]).toEqual([127, -127]);
  });

  it.each([
    ['NaN', 0x7fc00000, Array(4).fill(NAN_BITS)],
    ['a NaN of other bits', 0xff800001, Array(4).fill(NAN_BITS)],
    ['infinite', 0x7f800000, Array(4).fill(NAN_BITS)],
    ['negative and infinite', 0xff800000, Array(4).fill(NAN_BITS)],
    ['negative', 0xbf800000, [0x80000000, 0xbf800000, 0x3f800000, 0x41000000]],
    ['zero', 0x00000000, [0x00000000, 0x00000000, 0x80000000, 0x80000000]],
    ['-0', 0x80000000, [0x80000000, 0x80000000, 0x00000000, 0x00000000]],
    ['subnormal', 0x00000003, [0x00000000, 0x00000003, 0x80000003, 0x80000018]],
    ['too large', 0x7f7fffff, [0x00000000, 0x7f7fffff, 0xff7fffff, 0xff800000]],
  ])('decode the integers 0, 1, -1 and -8 with a scale that is %s', (__, scale, expected) => {
    const bytes = new Float32Array(4);
    const pairs = new Float32Array(4);
    kernels.int8.decode({ scales: floatsOf([scale]), values: Int8Array.of(0, 1, -1, -8) }, bytes);
    kernels.int4.decode({ scales: floatsOf([scale]), values: Uint8Array.of(0x10, 0x8f) }, pairs);
    expect(hex(bitsOf(bytes))).toEqual(hex(expected as number[]));
    expect(hex(bitsOf(pairs))).toEqual(hex(expected as number[]));
  });

  it('int4: the high half of the last byte is ignored for an odd number of values', () => {
    const values = new Float32Array(1);
    kernels.int4.decode({ scales: Float32Array.of(2), values: Uint8Array.of(0x73) }, values);
    expect([...values]).toEqual([6]);
  });

  it('give every NaN in a sum, a difference or a product the same bits', () => {
    const nan = floatsOf([0xffc00001]);
    const other = floatsOf([0x7f800001]);
    const infinite = floatsOf([0xff800000]);
    const cases: [Float32Array, Float32Array][] = [
      [nan, other],
      [other, nan],
      [nan, Float32Array.of(1)],
      [Float32Array.of(1), other],
    ];
    for (const [a, b] of cases) {
      for (const pass of ['add', 'subtract', 'addFlushToZero'] as const) {
        const out = new Float32Array(40);
        kernels[pass](padded(a, 40), padded(b, 40), out);
        expect(hex(bitsOf(out))).toEqual(hex([NAN_BITS, ...Array<number>(39).fill(0)]));
      }
      const product = new Float32Array(1);
      kernels.multiplyFactors(a, b, product, { samples: 1, inputs: 1, outputs: 1 });
      expect(hex(bitsOf(product))).toEqual(hex([NAN_BITS]));
    }
    const out = new Float32Array(1);
    kernels.subtract(infinite, infinite, out);
    expect(hex(bitsOf(out))).toEqual(hex([NAN_BITS]));
    kernels.add(infinite, Float32Array.of(Infinity), out);
    expect(hex(bitsOf(out))).toEqual(hex([NAN_BITS]));
    kernels.multiplyFactors(infinite, new Float32Array(1), out, { samples: 1, inputs: 1, outputs: 1 });
    expect(hex(bitsOf(out))).toEqual(hex([NAN_BITS]));
  });

  it('add a decoded NaN of a half or of a block with the same bits', () => {
    const base = floatsOf([0xffc00001, 0x3f800000, 0xff800000]);
    for (const values of [Uint16Array.of(0xfe01, 0xfe01, 0x7c00)]) {
      const out = new Float32Array(3);
      kernels.float16.decodeOnto({ scales: new Float32Array(0), values }, base, out);
      expect(hex(bitsOf(out))).toEqual(hex([NAN_BITS, NAN_BITS, NAN_BITS]));
    }
    const out = new Float32Array(3);
    const scales = floatsOf([0xff800000]);
    kernels.int8.decodeOnto({ scales, values: Int8Array.of(1, 0, -1) }, base, out);
    expect(hex(bitsOf(out))).toEqual(hex([NAN_BITS, NAN_BITS, NAN_BITS]));
    kernels.int4.decodeOnto({ scales, values: Uint8Array.of(0x01, 0x0f) }, base, out);
    expect(hex(bitsOf(out))).toEqual(hex([NAN_BITS, NAN_BITS, NAN_BITS]));
  });

  it('keep a residual of +0 where the sum or the decoded value is not finite', () => {
    const values = floatsOf([NAN_BITS, 0x7f800000, 0xff800000, 0x7f7fffff, 0x47800000, 0x00000001]);
    const before = floatsOf([0x3f800000, 0x3f800000, 0x3f800000, 0x7f7fffff, 0, 0]);
    const halves = { scales: new Float32Array(0), values: new Uint16Array(6) };
    const residual = before.slice();
    kernels.float16.encodeWithResidual(values, residual, halves);
    expect([...halves.values]).toEqual([0x7e00, 0x7c00, 0xfc00, 0x7c00, 0x7bff, 0x0000]);
    // 65536 - 65504, and the subnormal value that is no half.
    expect(hex(bitsOf(residual))).toEqual(hex([0, 0, 0, 0, 0x42000000, 0x00000001]));

    const bytes = { scales: new Float32Array(1), values: new Int8Array(6) };
    const lost = before.slice();
    kernels.int8.encodeWithResidual(values, lost, bytes);
    expect(hex(bitsOf(bytes.scales))).toEqual(hex([NAN_BITS]));
    expect(hex(bitsOf(lost))).toEqual(hex([0, 0, 0, 0, 0, 0]));
  });

  it('addFlushToZero replaces subnormal operands and results by zeros with their sign', () => {
    const tiny = 1e-39;
    const left = Float32Array.of(tiny, -tiny, 1.5e-38, -1.5e-38, 2 ** -126, tiny, 1, 2 ** -127);
    const right = Float32Array.of(tiny, -tiny, -1.2e-38, 1.2e-38, 0, 1, -1, 2 ** -127);
    const sum = new Float32Array(8);
    kernels.addFlushToZero(left, right, sum);
    expect([...sum]).toEqual([0, -0, 0, -0, 2 ** -126, 1, 0, 0]);
  });
});
