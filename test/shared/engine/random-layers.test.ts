import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { sliceShard, type Shard } from '../../../shared/data/shard.ts';
import type { GradientComputer } from '../../../shared/engine/engine.ts';
import type { Job, Topology } from '../../../shared/model/job.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import { layerJob } from '../../support/keras-layers.ts';
import { norm } from '../../support/vectors.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

// Random numbers of a sample must not depend on the shard, the micro-shard or the worker that computes it.

const SAMPLES = 11;
const SHAPE = [6, 6, 2];
const layer = (class_name: string, config: object) => ({
  class_name,
  config: { name: class_name.toLowerCase(), ...config },
});

const topology: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'model',
    layers: [
      layer('InputLayer', { batch_input_shape: [null, ...SHAPE] }),
      layer('RandomFlip', { mode: 'horizontal' }),
      layer('RandomRotation', { factor: 0.1 }),
      layer('RandomTranslation', { height_factor: 0.1, width_factor: 0.1 }),
      layer('RandomZoom', { height_factor: 0.2 }),
      layer('RandomContrast', { factor: [0.1, 0.3] }),
      layer('RandomBrightness', { factor: 0.001 }),
      layer('GaussianNoise', { stddev: 0.2 }),
      layer('Conv2D', { filters: 3, kernel_size: 2 }),
      layer('SpatialDropout2D', { rate: 0.3 }),
      layer('GaussianDropout', { rate: 0.2 }),
      layer('AlphaDropout', { rate: 0.2 }),
      layer('Reshape', { target_shape: [5, 15] }),
      layer('Bidirectional', {
        layer: layer('LSTM', { units: 3, dropout: 0.2, recurrent_dropout: 0.2, return_sequences: true }),
      }),
      layer('GRU', { units: 4, dropout: 0.2 }),
      layer('Dropout', { rate: 0.2 }),
      layer('Dense', { units: 3, activation: 'softmax' }),
    ],
  },
};

let job: Job;
let weights: Float32Array;
let shard: Shard;

beforeAll(async () => {
  const random = randomStream(1, Purpose.syntheticDigits);
  const labels = Array.from({ length: SAMPLES }, (_, i) => i % 3);
  await wasmEngine();
  job = await layerJob(tf, { topology, sampleShape: SHAPE, labels });
  weights = Float32Array.from({ length: layoutOf(job.layout).length }, () => random.uniform() - 0.5);
  shard = {
    sampleNumbers: Uint32Array.from({ length: SAMPLES }, (_, i) => 100 + 7 * i),
    inputs: [Uint8Array.from({ length: SAMPLES * 72 }, () => random.below(256))],
    targets: [Uint8Array.from(labels)],
  };
});

async function withComputer<T>(settings: Partial<Job>, run: (computer: GradientComputer) => Promise<T>) {
  const computer = await (await wasmEngine()).load({ ...job, ...settings });
  try {
    computer.setWeights(weights);
    return await run(computer);
  } finally {
    computer.dispose();
  }
}

/** Gradient of the shard in equal parts, each prepared or not. */
const gradientInParts = (parts: number, isPrepared: boolean, settings: Partial<Job> = {}) =>
  withComputer(settings, async (computer) => {
    const sum = new Float32Array(weights.length);
    const part = new Float32Array(weights.length);
    const size = Math.ceil(SAMPLES / parts);
    for (let from = 0; from < SAMPLES; from += size) {
      const samples = sliceShard(shard, from, Math.min(SAMPLES, from + size));
      if (isPrepared) computer.prepare(4 as Step, samples);
      await computer.gradient(4 as Step, samples, part);
      part.forEach((value, i) => (sum[i]! += value));
    }
    return sum;
  });

const difference = (one: Float32Array, two: Float32Array): number =>
  norm(one.map((value, i) => value - two[i]!)) / norm(two);

describe('a gradient with random layers is the same', () => {
  test.each([1, 2, 5])('for %d workers, prepared or not', async (parts) => {
    const whole = await gradientInParts(1, false);
    expect(norm(whole)).toBeGreaterThan(0.1);
    expect(difference(await gradientInParts(parts, false), whole)).toBeLessThan(2e-6);
    expect(difference(await gradientInParts(parts, true), whole)).toBeLessThan(2e-6);
  });

  test.each([1, 2, 4])('in micro-shards of %d', async (microShard) => {
    const whole = await gradientInParts(1, false);
    const exact = await gradientInParts(1, true, { microShard });
    expect(difference(exact, whole)).toBeLessThan(2e-6);
  });

  test('when it is computed again, but not for another step or seed', async () => {
    const at = (step: number, settings: Partial<Job> = {}) =>
      withComputer(settings, async (computer) => {
        const gradient = new Float32Array(weights.length);
        await computer.gradient(step as Step, shard, gradient);
        return gradient;
      });
    const one = await at(4);
    expect(await at(4)).toEqual(one);
    expect(difference(await at(5), one)).toBeGreaterThan(0.05);
    expect(difference(await at(4, { seed: 2 }), one)).toBeGreaterThan(0.05);
  });
});

test('an evaluation draws no random numbers', async () => {
  const scores = await withComputer({}, (computer) => computer.evaluate(shard));
  const again = await withComputer({ seed: 2 }, (computer) => computer.evaluate(shard));
  expect(again).toEqual(scores);
});
