import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { createModelStep } from '../../../shared/engine/model-step.ts';
import { tinyTopology } from '../../support/test-coordinator.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 2, testCount: 1 });
const topology = tinyTopology([28, 28, 1], 10);
const { job } = await prepareJob(dataset, { batchSize: 2, epochs: 1, seed: 1, topology });
await tf.setBackend('cpu');

test('a failing backward pass disposes the logits', async () => {
  const modelStep = await createModelStep(tf, job);
  const { model } = modelStep.built;
  const logits: tf.Tensor[] = [];
  const apply = model.apply.bind(model);
  model.apply = (...args) => {
    const output = apply(...args);
    logits.push(output as tf.Tensor);
    return output;
  };
  const broken = (): never => {
    throw new Error('broken');
  };
  const compute = () =>
    tf.tidy(() => {
      modelStep.gradient(
        [tf.zeros([2, 28, 28, 1])],
        [tf.zeros([2, 10])],
        { draw: () => tf.scalar(1) },
        broken,
      );
    });
  expect(compute).toThrow('broken');
  expect(logits.map(({ isDisposed }) => isDisposed)).toEqual([true]);
  modelStep.built.dispose();
});

test('a model with another layout than the job is disposed', async () => {
  const before = tf.memory().numTensors;
  const other = { ...job, layout: job.layout.slice(1) };
  await expect(createModelStep(tf, other)).rejects.toThrow(/The model built here has the tensors/);
  expect(tf.memory().numTensors).toBe(before);
});
