import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { GradientHooks } from '../../../shared/engine/model-step.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

beforeAll(async () => {
  await wasmEngine();
});

describe('the tail of a gradient', () => {
  it('is final when the engine says so, and the whole is the same as without', async () => {
    const dataset = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
    const { job, initialWeights } = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1 });
    const trainer = await (await wasmEngine()).load(job);
    trainer.setWeights(initialWeights);
    const { images, labels } = dataset.train;
    const shard = { sampleNumbers: Uint32Array.from({ length: 8 }, (_, i) => i), images, labels };
    const [whole, gradient] = [
      new Float32Array(initialWeights.length),
      new Float32Array(initialWeights.length),
    ];
    await trainer.gradient(3 as Step, shard, whole);
    const tensors = tf.memory().numTensors;
    const early: Float32Array[] = [];
    const offset = 9568;
    const onReady = (): void => void early.push(gradient.slice());
    await trainer.gradient(3 as Step, shard, gradient, { offset, onReady });
    expect(tf.memory().numTensors).toBe(tensors);
    expect(early).toHaveLength(1);
    expect(early[0]!.subarray(offset)).toEqual(whole.subarray(offset));
    expect(early[0]!.subarray(0, offset).every((value) => value === 0)).toBe(true);
    expect(gradient).toEqual(whole);
    trainer.dispose();
  });
});

describe('GradientTaps', () => {
  const variable = (value: number): { read: () => tf.Tensor; value: tf.Variable } => {
    const held = tf.variable(tf.scalar(value));
    return { read: () => held, value: held };
  };

  it('hears of weights that are read once, the last first, and of no others', () => {
    const [once, twice, last] = [variable(2), variable(3), variable(5)];
    const taps = new GradientHooks(tf, [once, twice, last]);
    const heard: [number, number][] = [];
    const loss = (): tf.Scalar =>
      tf.mul(tf.mul(tf.mul(once.read(), twice.read()), twice.read()), last.read());
    const { grads } = taps.run(
      (index, gradient) => heard.push([index, gradient.dataSync()[0]!]),
      () => tf.variableGrads(loss, [once.value, twice.value, last.value]),
    );
    expect(heard).toEqual([
      [2, 18],
      [0, 45],
    ]);
    expect(Object.values(grads).map((gradient) => gradient.dataSync()[0])).toEqual([45, 60, 18]);
  });

  it('is not there outside of a pass, nor where nobody listens', () => {
    const weight = variable(2);
    const taps = new GradientHooks(tf, [weight]);
    expect(weight.read()).toBe(weight.value);
    taps.run(undefined, () => expect(weight.read()).toBe(weight.value));
  });
});
