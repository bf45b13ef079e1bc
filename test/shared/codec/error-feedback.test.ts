import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Codec } from '../../../shared/codec/codec.ts';
import { CODECS } from '../../../shared/codec/registry.ts';
import { ErrorFeedback } from '../../../shared/codec/error-feedback.ts';
import { float16, int4 } from '../../../shared/codec/packed.ts';
import { float32 } from '../../../shared/codec/float32.ts';
import { checkProperty } from '../../support/property.ts';
import { floatsOf, INFINITY_PATTERNS, NAN_PATTERNS } from '../../support/special-floats.ts';

const lossy = CODECS.filter((codec) => codec.lossy);
/** Sequence of vectors of one length with values up to 1. */
const steps = fc.integer({ min: 1, max: 600 }).chain((length) =>
  fc.array(
    fc
      .array(fc.float({ noNaN: true, min: -1, max: 1 }), { minLength: length, maxLength: length })
      .map((values) => Float32Array.from(values)),
    { minLength: 1, maxLength: 12 },
  ),
);

/** Decoded values of an encoded vector. */
function transmit(feedback: ErrorFeedback, codec: Codec, values: Float32Array, from = 0): Float32Array {
  const payload = new Uint8Array(codec.bytes(values.length));
  feedback.encode(codec, values, payload, from);
  return codec.decode(payload, values.length).slice();
}

describe.each(lossy.map((codec) => [codec.name, codec] as const))('ErrorFeedback with %s', (_, codec) => {
  it('transmits the sum of all vectors up to the error of the last one', () => {
    checkProperty(
      fc.property(steps, (vectors) => {
        const length = vectors[0]!.length;
        const feedback = new ErrorFeedback(length);
        const truth = new Float64Array(length);
        const arrived = new Float64Array(length);
        for (const vector of vectors) {
          const decoded = transmit(feedback, codec, vector);
          for (let i = 0; i < length; i++) {
            truth[i] = truth[i]! + vector[i]!;
            arrived[i] = arrived[i]! + decoded[i]!;
          }
          // Values up to 1 and a residual r lose at most (1 + r) / 14 in the coarsest codec, so r stays below 1 / 13.
          if (truth.some((value, i) => Math.abs(value - arrived[i]!) > 1 / 12.9)) return false;
        }
        return true;
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('keeps residuals at their positions when vectors are sent in parts', () => {
    const values = Float32Array.from({ length: 700 }, (_, i) => Math.sin(i) / 3);
    const feedback = new ErrorFeedback(700);
    const arrived = new Float64Array(700);
    const add = (from: number, to: number): void =>
      transmit(feedback, codec, values.subarray(from, to), from).forEach(
        (value, i) => (arrived[from + i] = arrived[from + i]! + value),
      );
    for (let step = 0; step < 300; step++) {
      if (step % 3 === 0) add(0, 700);
      else {
        add(300, 700);
        add(0, 300);
      }
    }
    const worst = values.reduce(
      (largest, value, i) => Math.max(largest, Math.abs(value - arrived[i]! / 300)),
      0,
    );
    expect(worst).toBeLessThan(1e-3 / 3);
  });

  it('does not carry a value that is not finite over to the next vector', () => {
    const feedback = new ErrorFeedback(3);
    for (const bad of [...NAN_PATTERNS, ...INFINITY_PATTERNS]) {
      const values = Float32Array.of(1, 0, 1);
      values.set(floatsOf([bad]), 1);
      expect(Number.isFinite(transmit(feedback, codec, values)[1])).toBe(false);
      expect(transmit(feedback, codec, Float32Array.of(1, 1, 1)).every(Number.isFinite)).toBe(true);
    }
  });

  it('encodes an overflowing sum of vector and residual as a value that is not finite', () => {
    const largest = 3.4028234663852886e38;
    const feedback = new ErrorFeedback(1);
    transmit(feedback, float16, Float32Array.of(largest));
    expect(Number.isFinite(transmit(feedback, codec, Float32Array.of(largest))[0])).toBe(false);
    expect(transmit(feedback, codec, Float32Array.of(0))[0]).toBe(0);
  });
});

it('ErrorFeedback transmits a value that is too small for a single vector over several vectors', () => {
  const feedback = new ErrorFeedback(2);
  const seen = Array.from({ length: 20 }, () => transmit(feedback, int4, Float32Array.of(7, 0.25))[1]);
  expect(seen.slice(0, 6)).toEqual([0, 0, 1, 0, 0, 0]);
  expect(seen.reduce((sum: number, value) => sum + value!, 0)).toBe(5);
});

it('ErrorFeedback transmits values unchanged with a lossless codec', () => {
  const values = Float32Array.of(0.1, 1e-30, NaN);
  const feedback = new ErrorFeedback(3);
  for (let step = 0; step < 3; step++) expect(transmit(feedback, float32, values)).toEqual(values);
});
