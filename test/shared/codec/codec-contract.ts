import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vectorKernels } from '../../../coordinator/optimizer/kernels/vector.ts';
import type { Codec } from '../../../shared/codec/codec.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import { encodeFrame, decodeFrame, openFrame } from '../../../shared/protocol/frame.ts';
import { checkProperty } from '../../support/property.ts';
import {
  bitsOf,
  finiteVectors,
  floatsOf,
  lengths,
  NAN_BITS,
  notFiniteBits,
  specialVectors,
} from '../../support/special-floats.ts';

export interface CodecContract {
  /** Maximum error relative to the largest magnitude of the vector. 0 for a lossless codec. */
  readonly relativeError: number;
  /** Additional error for values that are too small for the codec. */
  readonly absoluteError?: number;
}

const vectors = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }), { maxLength: 70 })
  .map((values) => Float32Array.from(values));

/** Tests of the Codec interface that every codec passes. */
export function testCodec(codec: Codec, { relativeError, absoluteError = 0 }: CodecContract): void {
  const encode = (values: Float32Array): Uint8Array => {
    const frame = openFrame({ type: 'gradient' }, codec.bytes(values.length));
    codec.encode(values, frame.payload);
    return decodeFrame(frame.bytes).payload;
  };

  describe(`codec ${codec.name}`, () => {
    it('decodes values within its error bound', () => {
      checkProperty(
        fc.property(vectors, (values) => {
          const decoded = codec.decode(encode(values), values.length);
          const maxError =
            values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) * relativeError +
            absoluteError;
          return (
            decoded instanceof Float32Array &&
            decoded.length === values.length &&
            values.every((value, i) => Math.abs(value - decoded[i]!) <= maxError)
          );
        }),
        { seed: 1, numRuns: 1000 },
      );
    });

    it('decodes into the given buffer if it needs one', () => {
      const values = Float32Array.of(1, -2, 3.25, 0, 5);
      const buffer = new Float32Array(5).fill(NaN);
      const decoded = codec.decode(encode(values), 5, buffer);
      expect(decoded).toEqual(codec.decode(encode(values), 5));
      if (codec.lossy) expect(decoded).toBe(buffer);
    });

    it('is lossless exactly if `lossy` is false', () => {
      const values = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i) / 3);
      const decoded = codec.decode(encode(values), values.length);
      expect(decoded.every((value, i) => value === values[i])).toBe(!codec.lossy);
    });

    it('does not change the encoded values', () => {
      const values = Float32Array.of(1, -2, 3.25);
      encode(values);
      expect(values).toEqual(Float32Array.of(1, -2, 3.25));
    });

    it('encodes differences and residuals and decodes onto a base with the bits of separate operations', () => {
      const [values, others] = [0.3, 0.7].map((by) =>
        Float32Array.from({ length: 9_001 }, (_, i) => Math.sin(i * by) / 3),
      ) as [Float32Array, Float32Array];
      const payload = new Uint8Array(codec.bytes(values.length));
      codec.encodeDifference(values, others, payload);
      expect(payload).toEqual(encode(values.map((value, i) => value - others[i]!)));

      const decoded = codec.decode(payload, values.length);
      const sums = decoded.map((value, i) => value + values[i]!);
      const out = new Float32Array(values.length);
      const inPlace = values.slice();
      codec.decodeOnto(payload, values, out);
      codec.decodeOnto(payload, inPlace, inPlace);
      expect([out, inPlace]).toEqual([sums, sums]);

      const residual = others.slice();
      codec.encodeWithResidual(values, residual, payload);
      const sum = values.map((value, i) => value + others[i]!);
      expect(payload).toEqual(encode(sum));
      const decodedSum = codec.decode(payload, values.length);
      expect(residual).toEqual(sum.map((value, i) => value - decodedSum[i]!));
    });

    it('keeps zeros zero', () => {
      expect([...codec.decode(encode(new Float32Array(9)), 9)].every((value) => value === 0)).toBe(true);
    });

    it('decodes a value that is not finite to one at the same position, in a vector, a difference and a sum', () => {
      const withBad = fc
        .tuple(finiteVectors, fc.nat(), notFiniteBits)
        .filter(([{ length }]) => length > 0)
        .map(([values, place, bits]) => {
          const at = place % values.length;
          values.set(floatsOf([bits]), at);
          return { values, at };
        });
      checkProperty(
        fc.property(withBad, ({ values, at }) => {
          const { length } = values;
          const payload = new Uint8Array(codec.bytes(length));
          const isVisible = (): boolean => {
            const decoded = codec.decode(payload, length);
            return !Number.isFinite(decoded[at]) && vectorKernels.finiteNorm(decoded) === null;
          };
          const zeros = new Float32Array(length);
          codec.encode(values, payload);
          expect(isVisible()).toBe(true);
          codec.encodeDifference(values, zeros, payload);
          expect(isVisible()).toBe(true);
          codec.encodeDifference(zeros, values, payload);
          expect(isVisible()).toBe(true);
          codec.encodeWithResidual(values, new Float32Array(length), payload);
          expect(isVisible()).toBe(true);
          const weights = new Float32Array(length).fill(1);
          codec.decodeOnto(payload, weights, weights);
          expect(Number.isFinite(weights[at])).toBe(false);
        }),
        { seed: 3, numRuns: 200 },
      );
    });

    it('decodes finite values to finite ones', () => {
      checkProperty(
        fc.property(finiteVectors, (values) =>
          codec.decode(encode(values), values.length).every(Number.isFinite),
        ),
        { seed: 4, numRuns: 200 },
      );
    });

    it('gives every NaN in differences, sums and decoded vectors the same bits', () => {
      const pair = lengths.chain((length) =>
        fc.tuple(specialVectors(fc.constant(length)), specialVectors(fc.constant(length))),
      );
      const hasOtherNan = (values: Float32Array): boolean =>
        bitsOf(values).some((bits) => (bits & 0x7fffffff) > 0x7f800000 && bits !== NAN_BITS);
      checkProperty(
        fc.property(pair, ([values, others]) => {
          const { length } = values;
          const payload = new Uint8Array(codec.bytes(length));
          codec.encodeDifference(values, others, payload);
          expect(hasOtherNan(codec.decode(payload, length))).toBe(false);
          codec.encodeWithResidual(values, others.slice(), payload);
          expect(hasOtherNan(codec.decode(payload, length))).toBe(false);
          const sum = new Float32Array(length);
          codec.decodeOnto(payload, others, sum);
          expect(hasOtherNan(sum)).toBe(false);
        }),
        { seed: 5, numRuns: 200 },
      );
    });

    it('leaves a finite residual for any values', () => {
      const pair = lengths.chain((length) =>
        fc.tuple(specialVectors(fc.constant(length)), specialVectors(fc.constant(length))),
      );
      checkProperty(
        fc.property(pair, ([values, residual]) => {
          codec.encodeWithResidual(values, residual, new Uint8Array(codec.bytes(values.length)));
          return residual.every(Number.isFinite);
        }),
        { seed: 6, numRuns: 200 },
      );
    });

    it('gives the same bytes for the same values and writes all bytes', () => {
      checkProperty(
        fc.property(vectors, (values) => {
          const twice = [0x00, 0xff].map((dirt) => {
            const payload = new Uint8Array(codec.bytes(values.length)).fill(dirt);
            codec.encode(values, payload);
            return payload;
          });
          return Buffer.compare(twice[0]!, twice[1]!) === 0;
        }),
        { seed: 2 },
      );
    });

    it('writes nothing outside of the payload', () => {
      const values = Float32Array.of(1, 2, 3, 4);
      const memory = new Uint8Array(codec.bytes(4) + 16).fill(0xaa);
      codec.encode(values, memory.subarray(8, 8 + codec.bytes(4)));
      expect([...memory.subarray(0, 8), ...memory.subarray(8 + codec.bytes(4))]).toEqual(
        Array(16).fill(0xaa),
      );
    });

    it('rejects a payload of another length with the code wrongLength', () => {
      for (const difference of [-4, -1, 1, 4]) {
        const payload = new Uint8Array(codec.bytes(5) + difference);
        const base = new Float32Array(5);
        for (const read of [() => codec.decode(payload, 5), () => codec.decodeOnto(payload, base, base)]) {
          expect(read).toThrow(ProtocolError);
          expect(read).toThrow(expect.objectContaining({ code: CloseCode.wrongLength }));
        }
      }
    });

    it('reads a payload at any offset in memory', () => {
      const values = Float32Array.of(0.5, -0.25, 4);
      const bytes = encodeFrame({ type: 'gradient' }, encode(values));
      for (let offset = 0; offset < 8; offset++) {
        const memory = Buffer.alloc(bytes.length + offset);
        memory.set(bytes, offset);
        const decoded = codec.decode(decodeFrame(memory.subarray(offset)).payload, 3);
        expect(decoded).toEqual(codec.decode(encode(values), 3));
      }
    });
  });
}
