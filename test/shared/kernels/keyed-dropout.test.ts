import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { computesDropout, keyedDropout } from '../../../shared/kernels/fused-ops.ts';
import { fillDropoutMask, sampleKeys } from '../../../shared/kernels/masks/dropout-masks.ts';
import { checkProperty } from '../../support/property.ts';
import { startWasm } from './wasm-backend.ts';

const key = { seed: 7, step: 3 };

describe('dropout as one op on WebAssembly', () => {
  beforeAll(() => startWasm({}));

  /** Output and gradient, and the mask that both are a product with. */
  function compute(x: Float32Array, numbers: Uint32Array, layer: number, rate: number) {
    const size = x.length / numbers.length;
    const mask = new Float32Array(x.length);
    fillDropoutMask(mask, key, numbers, layer, size, rate);
    const [output, gradient] = tf.tidy(() => {
      const keys = tf.tensor2d(new Int32Array(sampleKeys(key, numbers).buffer), [numbers.length, 2], 'int32');
      const drop = (t: tf.Tensor): tf.Tensor => keyedDropout(tf, t, keys, layer, rate);
      const input = tf.tensor2d(x, [numbers.length, size]);
      return [drop(input), tf.grad(drop)(input)].map((tensor) => tensor.dataSync().slice());
    });
    return { output, gradient, mask };
  }

  it('has the bits of the product with the mask, in both passes', () => {
    expect(computesDropout(tf)).toBe(true);
    const check = (samples: number, size: number, layer: number, rate: number): void => {
      const x = Float32Array.from({ length: samples * size }, (_, i) => Math.sin(i + layer));
      const numbers = Uint32Array.from({ length: samples }, (_, i) => 1000 * i + layer);
      const { output, gradient, mask } = compute(x, numbers, layer, rate);
      expect(output).toEqual(x.map((value, i) => value * (mask[i] as number)));
      expect(gradient).toEqual(mask);
    };
    const size = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 2040, max: 4100 }));
    const rate = fc.double({ min: 0, max: 0.99, noNaN: true });
    checkProperty(fc.property(fc.integer({ min: 1, max: 4 }), size, fc.nat(9), rate, check), {
      numRuns: 40,
      seed: 16,
    });
  });

  it('keeps NaN, so that a run that diverges is noticed', () => {
    const { output } = compute(new Float32Array(64).fill(NaN), Uint32Array.of(1), 0, 0.5);
    expect(output).toEqual(new Float32Array(64).fill(NaN));
  });
});
