import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Topology } from '../../../shared/model/job.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';
import { heapBytes } from '../kernels/wasm-backend.ts';

const STEPS = 10_000;

const layer = (class_name: string, name: string, config: object = {}) => ({
  class_name,
  config: { name, ...config },
});
const conv = { kernel_size: [3, 3], activation: 'relu' };
const pool = { pool_size: [2, 2] };
/** Every kind of fused op: few channels with strides, pools behind large and small tiles, a frozen layer, and dense layers. */
const topology: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'm',
    layers: [
      layer('Conv2D', 'a', { ...conv, filters: 32, strides: [2, 2], batch_input_shape: [null, 28, 28, 1] }),
      layer('Conv2D', 'b', { ...conv, filters: 8, padding: 'same' }),
      layer('MaxPooling2D', 'p', pool),
      layer('Conv2D', 'frozen', { ...conv, filters: 4, trainable: false }),
      layer('MaxPooling2D', 'q', pool),
      layer('Dropout', 'drop', { rate: 0.25 }),
      layer('Flatten', 'flat'),
      layer('Dense', 'd', { units: 8, activation: 'relu' }),
      layer('Dense', 'out', { units: 10, activation: 'softmax' }),
    ],
  },
};

it(`${STEPS} steps leak no tensor and no memory`, async () => {
  const engine = await wasmEngine();
  const dataset = syntheticDigits({ seed: 1, trainCount: 2, testCount: 1 });
  const { job, initialWeights } = await prepareJob(dataset, { batchSize: 2, epochs: 1, seed: 1, topology });
  const computer = await engine.load(job);
  const shard = { ...dataset.train, sampleNumbers: Uint32Array.from([0, 1]) };
  const gradient = new Float32Array(initialWeights.length);
  computer.setWeights(initialWeights);
  const state = () => [tf.memory().numTensors, tf.memory().numDataBuffers, heapBytes()];
  let before: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    await computer.gradient(step as Step, shard, gradient);
    if (step === 10) before = state();
  }
  expect(state()).toEqual(before);
  expect(gradient.some((value) => value !== 0)).toBe(true);
  computer.dispose();
});
