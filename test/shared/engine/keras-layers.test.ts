import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { errorBounds, measureDeviation } from '../../support/keras-layers.ts';
import { layerCases } from '../../support/layer-cases.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

test.each(layerCases)('$name: loss and gradient on WebAssembly match Keras', async (layerCase) => {
  const deviation = await measureDeviation(tf, await wasmEngine(), layerCase);
  const bounds = errorBounds(layerCase);
  expect(deviation.loss).toBeLessThan(bounds.loss);
  expect(deviation.gradient).toBeLessThan(bounds.gradient);
  expect(deviation.frozenAreZero).toBe(true);
});

test('long sums of batch normalization are as close to float64 as the float32 sums of Keras', async () => {
  const many = layerCases.find(({ name }) => name === 'BatchNormalization of many values')!;
  const { gradient } = await measureDeviation(tf, await wasmEngine(), many);
  expect(gradient).toBeLessThan(many.float32Error);
});
