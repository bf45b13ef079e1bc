import { describe, expect, it } from 'vitest';
import type { Codec } from '../../../shared/codec/codec.ts';
import { CODECS, getCodec } from '../../../shared/codec/registry.ts';
import { float16, int4, int8 } from '../../../shared/codec/packed.ts';
import { float32 } from '../../../shared/codec/float32.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testCodec, type CodecContract } from './codec-contract.ts';
import {
  bitsOf,
  FINITE_PATTERNS,
  floatsOf,
  INFINITY_PATTERNS,
  NAN_BITS,
  NAN_PATTERNS,
} from '../../support/special-floats.ts';

const contracts: Readonly<Record<string, CodecContract>> = {
  float32: { relativeError: 0 },
  // Half of the last of 11 significant bits, or half of the distance between subnormal values.
  float16: { relativeError: 2 ** -11, absoluteError: 2 ** -25 },
  // Half a scale, with a margin for the rounding of the scale.
  int8: { relativeError: 0.5001 / 127, absoluteError: 2 ** -100 },
  int4: { relativeError: 0.5001 / 7, absoluteError: 2 ** -100 },
};

for (const codec of CODECS) testCodec(codec, contracts[codec.name]!);

describe('getCodec', () => {
  it('finds each codec by its unique name', () => {
    expect(new Set(CODECS.map(({ name }) => name)).size).toBe(CODECS.length);
    for (const codec of CODECS) expect(getCodec(codec.name)).toBe(codec);
  });

  it.each(['', 'FLOAT32', 'toString', 'zip'])("rejects the name '%s'", (name) => {
    expect(() => getCodec(name)).toThrow(`Codec '${name}' is not supported.`);
    expect(() => getCodec(name)).toThrow(expect.objectContaining({ code: CloseCode.unsupported }));
  });
});

describe('float32', () => {
  it('is little-endian IEEE 754', () => {
    const payload = new Uint8Array(8);
    float32.encode(Float32Array.of(1, -2.5), payload);
    expect([...payload]).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
  });

  it('keeps every bit, also of NaN, infinities, zeros of both signs, subnormal and largest values', () => {
    const patterns = [...NAN_PATTERNS, ...INFINITY_PATTERNS, ...FINITE_PATTERNS];
    const values = floatsOf(patterns);
    const payload = new Uint8Array(float32.bytes(values.length));
    float32.encode(values, payload);
    expect([...new Uint32Array(payload.buffer)]).toEqual(patterns);
    expect(bitsOf(float32.decode(payload, values.length))).toEqual(patterns);
  });

  it('keeps infinities, -0 and subnormal values in differences and sums', () => {
    const values = floatsOf([0x7f800000, 0x80000000, 0x00000001, 0x7f7fffff]);
    const zeros = new Float32Array(4);
    const payload = new Uint8Array(16);
    float32.encodeDifference(values, zeros, payload);
    expect(bitsOf(float32.decode(payload, 4))).toEqual([0x7f800000, 0x80000000, 0x00000001, 0x7f7fffff]);
    const largest = floatsOf([0xff800000, 0x80000000, 0x80000001, 0xff7fffff]);
    float32.encodeDifference(values, largest, payload);
    expect(bitsOf(float32.decode(payload, 4))).toEqual([0x7f800000, 0x00000000, 0x00000002, 0x7f800000]);
    const sum = new Float32Array(4);
    float32.encode(values, payload);
    float32.decodeOnto(payload, zeros, sum);
    expect(bitsOf(sum)).toEqual([0x7f800000, 0x00000000, 0x00000001, 0x7f7fffff]);
  });
});

const encoded = (codec: Codec, values: Float32Array): number[] => {
  const payload = new Uint8Array(codec.bytes(values.length));
  codec.encode(values, payload);
  return [...payload];
};

describe('float16', () => {
  const halves = Array.from({ length: 0x7c00 }, (_, bits) => bits);
  const valueOf = (bits: number): number => float16.decode(Uint8Array.of(bits & 255, bits >> 8), 1)[0]!;
  const bitsOf = (values: readonly number[]): number[] => {
    const payload = new Uint8Array(values.length * 2);
    float16.encode(Float32Array.from(values), payload);
    return [...new Uint16Array(payload.buffer)];
  };

  it('is little-endian IEEE 754', () => {
    expect(encoded(float16, Float32Array.of(1, -2.5, 65504, 2 ** -24, 1 / 3))).toEqual([
      ...[0x00, 0x3c, 0x00, 0xc1, 0xff, 0x7b, 0x01, 0x00, 0x55, 0x35],
    ]);
  });

  it('keeps every finite half of both signs', () => {
    const values = halves.map(valueOf);
    expect(bitsOf(values)).toEqual(halves);
    expect(bitsOf(values.map((value) => -value))).toEqual(halves.map((bits) => bits | 0x8000));
  });

  it('rounds to the nearest half, ties to even', () => {
    const [below, between, above] = [0, 1, 2].map((at) =>
      halves.slice(1).map((bits) => {
        const middle = (valueOf(bits - 1) + valueOf(bits)) / 2;
        return middle * (1 + (at - 1) * 2 ** -22);
      }),
    ) as [number[], number[], number[]];
    expect(bitsOf(below)).toEqual(halves.slice(0, -1));
    expect(bitsOf(above)).toEqual(halves.slice(1));
    expect(bitsOf(between)).toEqual(halves.slice(1).map((bits) => (bits & 1 ? bits - 1 : bits)));
  });

  it('rounds large finite values to the largest half and keeps infinities', () => {
    expect(bitsOf([65519.99, 65520, 3.4e38, -1e6, Infinity, -Infinity, NaN])).toEqual([
      ...[0x7bff, 0x7bff, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00],
    ]);
  });
});

describe('int8 and int4', () => {
  it('consist of the scales of blocks followed by integers', () => {
    const values = Float32Array.of(-127, 63.5, 0.5, 1.5, -0.4);
    expect(encoded(int8, values)).toEqual([0, 0, 0x80, 0x3f, 0x81, 64, 0, 2, 0]);
    expect(encoded(int4, Float32Array.of(-7, 3.5, 0.5, 1.5, -1))).toEqual([
      0, 0, 0x80, 0x3f, 0x49, 0x20, 0x0f,
    ]);
  });

  it('have a scale for every 256 values, so that a large value affects only its block', () => {
    const values = Float32Array.from({ length: 513 }, (_, i) => (i === 0 ? 1e6 : 1e-3));
    for (const codec of [int8, int4]) {
      const payload = Uint8Array.from(encoded(codec, values));
      expect(payload.length).toBe(3 * 4 + Math.ceil(513 / (codec === int8 ? 1 : 2)));
      const decoded = codec.decode(payload, 513);
      expect(decoded[1]).toBe(0);
      for (const at of [256, 511, 512]) expect(decoded[at]).toBeCloseTo(1e-3, 9);
    }
  });

  it('decode the largest values to finite ones', () => {
    const values = new Float32Array(3).fill(3.4028234663852886e38);
    for (const codec of [int8, int4]) {
      const decoded = codec.decode(Uint8Array.from(encoded(codec, values)), 3);
      expect(decoded.every((value) => Number.isFinite(value) && value > 3.39e38)).toBe(true);
    }
  });

  it('decode only a block whose scale is not finite to NaN', () => {
    for (const bad of [...NAN_PATTERNS, ...INFINITY_PATTERNS]) {
      for (const codec of [int8, int4]) {
        for (const block of [0, 1]) {
          const payload = new Uint8Array(codec.bytes(300)).fill(0x11);
          const scales = new Float32Array(payload.buffer, 0, 2).fill(1);
          scales.set(floatsOf([bad]), block);
          const bits = bitsOf(codec.decode(payload, 300));
          const size = block === 0 ? 256 : 44;
          expect(bits.slice(256 * block, 256 * block + size)).toEqual(Array(size).fill(NAN_BITS));
          expect(bits.filter((value) => value === NAN_BITS)).toHaveLength(size);
        }
      }
    }
  });
});
