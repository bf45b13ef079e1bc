import { describe, expect, it } from 'vitest';
import { CODECS, codecNamed } from '../../../shared/codec/codec.ts';
import { float32 } from '../../../shared/codec/float32.ts';
import { CloseCode } from '../../../shared/protocol/close-code.ts';
import { testCodec, type CodecContract } from '../../contract/codec.ts';

const contracts: Readonly<Record<string, CodecContract>> = {
  float32: { relativeError: 0 },
  // Half of the last of 11 bits, or of the distance between subnormal values.
  float16: { relativeError: 2 ** -11, absoluteError: 2 ** -25 },
  // Half a scale, and a little for its rounding.
  int8: { relativeError: 0.5001 / 127, absoluteError: 2 ** -100 },
  int4: { relativeError: 0.5001 / 7, absoluteError: 2 ** -100 },
};

for (const codec of CODECS) testCodec(codec, contracts[codec.name]!);

describe('the codecs', () => {
  it('have names of their own, under which they are found', () => {
    expect(new Set(CODECS.map(({ name }) => name)).size).toBe(CODECS.length);
    for (const codec of CODECS) expect(codecNamed(codec.name)).toBe(codec);
  });

  it.each(['', 'FLOAT32', 'toString', 'zip'])("do not include '%s'", (name) => {
    expect(() => codecNamed(name)).toThrow(`Codec '${name}' is not known here.`);
    expect(() => codecNamed(name)).toThrow(expect.objectContaining({ code: CloseCode.unsupported }));
  });
});

describe('float32', () => {
  it('is little-endian IEEE 754', () => {
    const payload = new Uint8Array(8);
    float32.encode(Float32Array.of(1, -2.5), payload);
    expect([...payload]).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
  });

  it('keeps every bit, those of a negative zero, of the smallest and of the largest value too', () => {
    const values = Float32Array.of(-0, 2 ** -149, -(2 ** -149), 3.4028234663852886e38, NaN, -Infinity);
    const payload = new Uint8Array(float32.bytes(values.length));
    float32.encode(values, payload);
    const decoded = float32.decode(payload, values.length);
    expect([...decoded].every((value, i) => Object.is(value, values[i]))).toBe(true);
  });
});
