import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeFactored,
  encodeFactored,
  factoredBytes,
  factoredKernel,
  areFactorsSmaller,
  type DenseKernel,
} from '../../../shared/codec/factors.ts';
import { scalarKernels } from '../../../shared/codec/kernels/scalar.ts';
import { simdKernels } from '../../../shared/codec/kernels/simd.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import { vectorKernels } from '../../../coordinator/optimizer/kernels/vector.ts';
import { checkProperty } from '../../support/property.ts';
import { bitsOf, floatsOf, INFINITY_PATTERNS, NAN_BITS, NAN_PATTERNS } from '../../support/special-floats.ts';

const tensor = (shape: number[], trainable = true) => ({ shape, trainable });

/** Kernel with values before and after it, and a number of samples whose factors fit into the kernel's range. */
const vectors = fc
  .record({
    inputs: fc.integer({ min: 2, max: 40 }),
    outputs: fc.integer({ min: 2, max: 40 }),
    before: fc.integer({ min: 0, max: 9 }),
    after: fc.integer({ min: 0, max: 9 }),
    seed: fc.integer(),
  })
  .chain(({ inputs, outputs, before, after, seed }) => {
    const maxSamples = Math.max(1, Math.ceil((inputs * outputs) / (inputs + outputs)) - 1);
    return fc.record({
      kernel: fc.constant<DenseKernel>({ offset: before, inputs, outputs }),
      length: fc.constant(before + inputs * outputs + after),
      samples: fc.integer({ min: 1, max: maxSamples }),
      seed: fc.constant(seed),
    });
  })
  .filter(({ kernel, samples }) => areFactorsSmaller(kernel, samples));

const noise = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed));

function product(
  { offset, inputs, outputs }: DenseKernel,
  samples: number,
  gradient: Float32Array,
): number[] {
  const a = (s: number, i: number): number => gradient[offset + s * inputs + i]!;
  const g = (s: number, j: number): number => gradient[offset + samples * inputs + s * outputs + j]!;
  return Array.from({ length: inputs * outputs }, (_, at) => {
    const i = Math.floor(at / outputs);
    const j = at % outputs;
    let sum = 0;
    for (let s = 0; s < samples; s++) sum += a(s, i) * g(s, j);
    return sum;
  });
}

describe('sufficient factors', () => {
  it('are those of the largest trainable matrix', () => {
    const layout = layoutOf([
      tensor([3, 3, 1, 900]),
      tensor([9, 4]),
      tensor([4]),
      tensor([40, 8]),
      tensor([8]),
      tensor([99, 99], false),
    ]);
    expect(factoredKernel(layout)).toEqual({ offset: 8140, inputs: 40, outputs: 8 });
    expect(factoredKernel(layoutOf([tensor([4])]))).toBeNull();
  });

  it('have fewer values than the gradient only for few samples', () => {
    const kernel = { offset: 0, inputs: 4608, outputs: 128 };
    expect([16, 124, 125].map((samples) => areFactorsSmaller(kernel, samples))).toEqual([true, true, false]);
    expect(factoredBytes(kernel, 16, { from: 0, to: 600_810 })).toBe(4 * (16 * 4736 + 10_986));
  });

  it('decode to their product in the kernel and leave other values unchanged, in one part or two', () => {
    checkProperty(
      fc.property(vectors, fc.boolean(), ({ kernel, length, samples, seed }, inTwo) => {
        const gradient = noise(length, seed);
        const cut = inTwo ? kernel.offset : 0;
        const parts = [
          { from: cut, to: length },
          { from: 0, to: cut },
        ];
        const arrived = new Float32Array(length);
        for (const part of parts) {
          const payload = new Uint8Array(factoredBytes(kernel, samples, part));
          encodeFactored(gradient, payload, kernel, samples, part);
          arrived.set(decodeFactored(payload, kernel, samples, part), part.from);
        }
        const end = kernel.offset + kernel.inputs * kernel.outputs;
        expect(arrived.subarray(0, kernel.offset)).toEqual(gradient.subarray(0, kernel.offset));
        expect(arrived.subarray(end)).toEqual(gradient.subarray(end));
        product(kernel, samples, gradient).forEach((value, i) => {
          expect(Math.abs(arrived[kernel.offset + i]! - value)).toBeLessThan(1e-5 * (1 + samples));
        });
      }),
      { seed: 1 },
    );
  });

  it('are rejected if the payload has another length', () => {
    const kernel = { offset: 1, inputs: 4, outputs: 4 };
    const part = { from: 0, to: 20 };
    for (const bytes of [0, 4 * 11, 4 * 13, 80]) {
      const decodeShort = (): unknown => decodeFactored(new Uint8Array(bytes), kernel, 1, part);
      expect(decodeShort).toThrow(ProtocolError);
      expect(decodeShort).toThrow(expect.objectContaining({ code: CloseCode.wrongLength }));
    }
    expect(decodeFactored(new Uint8Array(48), kernel, 1, part)).toHaveLength(20);
  });

  it('keep values that are not finite, in a factor or outside of the kernel', () => {
    const kernel = { offset: 1, inputs: 4, outputs: 4 };
    const part = { from: 0, to: 18 };
    for (const bad of [...NAN_PATTERNS, ...INFINITY_PATTERNS]) {
      for (let at = 0; at < 10; at++) {
        const gradient = new Float32Array(18).fill(1);
        gradient.set(floatsOf([bad]), at < 9 ? at : 17);
        const payload = new Uint8Array(factoredBytes(kernel, 1, part));
        encodeFactored(gradient, payload, kernel, 1, part);
        expect(bitsOf(new Float32Array(payload.buffer))[at]).toBe(bad);
        const decoded = decodeFactored(payload, kernel, 1, part);
        expect(vectorKernels.finiteNorm(decoded)).toBeNull();
        const first = bitsOf(decoded)[0];
        const last = bitsOf(decoded)[17];
        expect([first, last]).toEqual([at === 0 ? bad : 0x3f800000, at === 9 ? bad : 0x3f800000]);
        if (at > 0 && at < 9 && Number.isNaN(floatsOf([bad])[0])) {
          const product = bitsOf(decoded.subarray(1, 17));
          expect(product.filter((bits) => bits === NAN_BITS)).toHaveLength(4);
          expect(product.filter((bits) => bits === 0x3f800000)).toHaveLength(12);
        }
      }
    }
  });

  it('give infinity for an overflowing product and NaN for infinity times zero', () => {
    const kernel = { offset: 0, inputs: 2, outputs: 2 };
    const decode = (...values: number[]): number[] =>
      bitsOf(decodeFactored(new Uint8Array(Float32Array.from(values).buffer), kernel, 1, { from: 0, to: 4 }));
    expect(decode(1e30, -1, 1e30, 0)).toEqual(bitsOf(Float32Array.of(Infinity, 0, -1e30, 0)));
    expect(decode(Infinity, 1, 0, 1)).toEqual([NAN_BITS, 0x7f800000, 0, 0x3f800000]);
  });

  it.each([
    [1, 4, 8],
    [16, 4608, 128],
    [3, 5, 7],
    [7, 1030, 10],
    [1, 1, 1],
    [124, 601, 130],
    [2, 3, 70_000],
  ])('give the same bits with SIMD: %i samples, %i x %i', (samples, inputs, outputs) => {
    const a = noise(samples * inputs, 1);
    const b = noise(samples * outputs, 2);
    const shape = { samples, inputs, outputs };
    const scalar = new Float32Array(inputs * outputs);
    const simd = new Float32Array(inputs * outputs);
    scalarKernels.multiplyFactors(a, b, scalar, shape);
    simdKernels()!.multiplyFactors(a, b, simd, shape);
    expect(simd).toEqual(scalar);
  });
});
