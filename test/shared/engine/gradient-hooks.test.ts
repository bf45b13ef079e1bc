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

describe('a bucket of a gradient', () => {
  it('is final when the engine reports it, and does not change the gradient', async () => {
    const dataset = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
    const { job, initialWeights } = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1 });
    const computer = await (await wasmEngine()).load(job);
    computer.setWeights(initialWeights);
    const shard = { ...dataset.train, sampleNumbers: Uint32Array.from({ length: 8 }, (_, i) => i) };
    const expected = new Float32Array(initialWeights.length);
    const gradient = new Float32Array(initialWeights.length);
    await computer.gradient(3 as Step, shard, expected);
    const tensors = tf.memory().numTensors;
    const snapshots: Float32Array[] = [];
    const offset = 9568;
    const onReady = (): void => void snapshots.push(gradient.slice());
    await computer.gradient(3 as Step, shard, gradient, { offset, onReady });
    expect(tf.memory().numTensors).toBe(tensors);
    expect(snapshots).toHaveLength(1);
    expect(snapshots[0]!.subarray(offset)).toEqual(expected.subarray(offset));
    expect(snapshots[0]!.subarray(0, offset).every((value) => value === 0)).toBe(true);
    expect(gradient).toEqual(expected);
    computer.dispose();
  });
});

describe('GradientHooks', () => {
  const variable = (value: number): { read: () => tf.Tensor; value: tf.Variable } => {
    const variable = tf.variable(tf.scalar(value));
    return { read: () => variable, value: variable };
  };

  it('report only weights that are read once, the last first', () => {
    const once = variable(2);
    const twice = variable(3);
    const last = variable(5);
    const hooks = new GradientHooks(tf, [once, twice, last]);
    const reported: [number, number][] = [];
    const loss = (): tf.Scalar =>
      tf.mul(tf.mul(tf.mul(once.read(), twice.read()), twice.read()), last.read());
    const { grads } = hooks.run(
      (index, gradient) => reported.push([index, gradient.dataSync()[0]!]),
      () => tf.variableGrads(loss, [once.value, twice.value, last.value]),
    );
    expect(reported).toEqual([
      [2, 18],
      [0, 45],
    ]);
    expect(Object.values(grads).map((gradient) => gradient.dataSync()[0])).toEqual([45, 60, 18]);
  });

  it('leave reads unchanged outside of a pass and without a listener', () => {
    const weight = variable(2);
    const hooks = new GradientHooks(tf, [weight]);
    expect(weight.read()).toBe(weight.value);
    hooks.run(undefined, () => expect(weight.read()).toBe(weight.value));
  });
});
