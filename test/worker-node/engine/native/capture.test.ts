import type { Tensor } from '@tensorflow/tfjs';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';

import { prepareJob } from '../../../../coordinator/model/model.ts';
import type { Shard } from '../../../../shared/data/shard.ts';
import type { GradientComputer } from '../../../../shared/engine/engine.ts';
import {
  decodeFactored,
  encodeFactored,
  factoredBytes,
  factoredKernel,
} from '../../../../shared/codec/factors.ts';
import { createModelStep, type ModelStep } from '../../../../shared/engine/model-step.ts';
import { ShardInputs } from '../../../../shared/engine/shard-inputs.ts';
import { createGradientComputer, copyingTransfers } from '../../../../shared/engine/tf-engine.ts';
import type { Job, Topology } from '../../../../shared/model/job.ts';
import { layoutOf } from '../../../../shared/model/layout.ts';
import type { Step } from '../../../../shared/protocol/messages.ts';
import { createCapturedGradientComputer } from '../../../../worker-node/engine/native/captured-gradient-computer.ts';
import { registerNativeGradients } from '../../../../worker-node/engine/native/gradients.ts';
import { manualIdle } from '../../../../worker-node/engine/native/idle-scheduler.ts';
import { collectGarbage } from '../../../support/collect-garbage.ts';
import { withNative } from '../../../support/native.ts';
import { relativeDifference } from '../../../support/vectors.ts';
import { models } from './models.ts';
import { noise } from '../../../support/noise.ts';
import { fixedRandom } from '../../../support/property.ts';

const { dataset, shardOf } = noise(5, 12);
afterEach(() => vi.unstubAllEnvs());

interface Computed {
  readonly gradient: Float32Array;
  readonly lossSum: number;
  readonly metrics: readonly number[];
}

async function compute(
  computer: GradientComputer,
  step: number,
  shard: Shard,
  length: number,
): Promise<Computed> {
  const gradient = new Float32Array(length);
  return { gradient, ...(await computer.gradient(step as Step, shard, gradient)) };
}

await withNative((native) => {
  const { tf, backend } = native;
  registerNativeGradients(tf, backend);
  const sessions = (): number =>
    (backend.binding as unknown as { getNumOfSavedModels(): number }).getNumOfSavedModels();

  async function setUp(topology: Topology, change: (modelStep: ModelStep) => ModelStep = (same) => same) {
    const { job, initialWeights } = await prepareJob(dataset, { batchSize: 6, epochs: 1, seed: 3, topology });
    await tf.setBackend('tensorflow');
    const idle = manualIdle();
    const notes: string[] = [];
    const note = (line: string): void => void notes.push(line);
    const modelStep = change(await createModelStep(tf, job));
    const computer = createCapturedGradientComputer(native, job, modelStep, { idle, note });
    computer.setWeights(initialWeights);
    return { job, weights: initialWeights, computer, idle, notes };
  }

  async function opByOp(job: Job, weights: Float32Array): Promise<GradientComputer> {
    const modelStep = await createModelStep(tf, job);
    const computer = createGradientComputer(tf, job, modelStep, new ShardInputs(job), copyingTransfers);
    computer.setWeights(weights);
    return computer;
  }

  const cases = Object.entries(models).flatMap(([name, topology]) =>
    [6, 1].map((samples) => [name, samples, topology] as const),
  );
  test.each(cases)('%s, %d samples: captured, op by op and by stock tfjs alike', async (_, samples, make) => {
    const { job, weights, computer, idle, notes } = await setUp(make());
    const shard = shardOf(samples);
    await compute(computer, 1, shard, weights.length);
    await computer.evaluate(shard);
    expect(sessions()).toBe(0);
    idle.run();
    expect(notes).toEqual([]);
    expect(sessions()).toBe(2);

    const other = weights.map((weight, i) => weight * (1 + 0.1 * Math.sin(i)));
    computer.setWeights(other);
    const captured = await compute(computer, 2, shard, weights.length);
    const evaluation = await computer.evaluate(shard);
    const probabilities = await computer.predict(shard.inputs, samples);
    expect(idle.pending()).toBe(0);
    const plain = await opByOp(job, other);
    const eager = await compute(plain, 2, shard, weights.length);
    expect(relativeDifference(captured.gradient, eager.gradient)).toBeLessThan(1e-5);
    expect(captured.lossSum / eager.lossSum).toBeCloseTo(1, 5);
    expect(captured.metrics).toEqual(eager.metrics);
    const eagerEvaluation = await plain.evaluate(shard);
    expect(evaluation.lossSum / eagerEvaluation.lossSum).toBeCloseTo(1, 5);
    const eagerProbabilities = await plain.predict(shard.inputs, samples);
    expect(relativeDifference(probabilities, eagerProbabilities)).toBeLessThan(1e-5);
    plain.dispose();
    computer.dispose();
    expect(sessions()).toBe(0);

    await tf.setBackend('cpu');
    const alone = await opByOp(job, other);
    const stock = await compute(alone, 2, shard, weights.length);
    expect(relativeDifference(captured.gradient, stock.gradient)).toBeLessThan(1e-4);
    alone.dispose();
  });

  test('as factors, op by op and captured: their product is the gradient, and no tensor is left', async () => {
    const { job, weights, computer, idle, notes } = await setUp(models["the seed's CNN"]!());
    const kernel = factoredKernel(layoutOf(job.layout))!;
    const shard = shardOf(6);
    expect(computer.supportsFactors).toBe(true);
    const whole = await opByOp(job, weights);
    const { gradient, lossSum } = await compute(whole, 2, shard, weights.length);
    const tensors: number[] = [];
    for (const how of ['op by op', 'captured', 'captured']) {
      const factored = new Float32Array(weights.length);
      const result = await computer.gradient(2 as Step, shard, factored, undefined, true);
      expect([how, result.isFactored, result.lossSum / lossSum]).toEqual([how, true, expect.closeTo(1, 5)]);
      const part = { from: 0, to: weights.length };
      const payload = new Uint8Array(factoredBytes(kernel, 6, part));
      encodeFactored(factored, payload, kernel, 6, part);
      expect(relativeDifference(decodeFactored(payload, kernel, 6, part), gradient)).toBeLessThan(1e-5);
      idle.run();
      tensors.push(tf.memory().numTensors);
    }
    expect([notes, sessions()]).toEqual([[], 1]);
    expect(tensors[2]).toBe(tensors[1]);
    whole.dispose();
    computer.dispose();
  });

  test('200 steps leak no tensors and leave no files', async () => {
    // A folder of its own: tests in other processes capture graphs as well.
    const folder = mkdtempSync(join(tmpdir(), 'gradcast-capture-'));
    vi.stubEnv('TMPDIR', folder);
    const { weights, computer, idle } = await setUp(models["the seed's CNN"]!());
    const shard = shardOf(6);
    await compute(computer, 0, shard, weights.length);
    idle.run();
    await compute(computer, 1, shard, weights.length);
    const addon = backend.binding as unknown as { getNumOfTensors(): number };
    const tensors = tf.memory().numTensors;
    const handles = addon.getNumOfTensors();
    let rssAt50 = 0;
    for (let step = 2; step < 202; step++) {
      computer.setWeights(weights);
      computer.prepare(step as Step, shard);
      await compute(computer, step, shard, weights.length);
      if (step === 50) {
        collectGarbage();
        rssAt50 = process.memoryUsage.rss();
      }
    }
    collectGarbage();
    expect(tf.memory().numTensors).toBe(tensors);
    expect(addon.getNumOfTensors()).toBe(handles);
    expect((process.memoryUsage.rss() - rssAt50) / 2 ** 20).toBeLessThan(60);
    computer.dispose();
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  test('preparing a replayed shard changes no bit of its gradient', async () => {
    const { weights, computer, idle } = await setUp(models["the seed's CNN"]!());
    const shard = shardOf(6);
    await compute(computer, 0, shard, weights.length);
    idle.run();
    const plain = await compute(computer, 4, shard, weights.length);
    expect((await compute(computer, 5, shard, weights.length)).gradient).not.toEqual(plain.gradient);
    for (const prepared of [4, 5]) {
      computer.prepare(prepared as Step, shard);
      expect(await compute(computer, 4, shard, weights.length)).toEqual(plain);
    }
    computer.dispose();
  });

  test('the number of graphs is bounded; other sizes run op by op', async () => {
    const { job, weights, computer, idle, notes } = await setUp(models['average pooling']!());
    for (let samples = 1; samples <= 8; samples++) {
      await compute(computer, samples, shardOf(samples), weights.length);
      idle.run();
    }
    expect(sessions()).toBe(6);
    const plain = await opByOp(job, weights);
    for (const samples of [2, 8]) {
      const { gradient } = await compute(computer, 9, shardOf(samples), weights.length);
      const eager = await compute(plain, 9, shardOf(samples), weights.length);
      expect(relativeDifference(gradient, eager.gradient)).toBeLessThan(1e-5);
    }
    expect(notes).toEqual([]);
    plain.dispose();
    computer.dispose();
    expect(sessions()).toBe(0);
  });

  const random = fixedRandom();
  const unfit: [string, (output: Tensor) => Tensor, string][] = [
    ['a random value of JavaScript', (y) => tf.add(y, tf.scalar(random())), 'off by'],
    [
      'a random op',
      (y) => tf.add(y, tf.cast(tf.multinomial(tf.zeros([2]) as never, 1), 'float32')),
      'random numbers',
    ],
    ['a value that is read back', (y) => tf.add(y, tf.scalar(tf.sum(y).dataSync()[0]!)), 'read back'],
  ];
  test.each(unfit)('%s: evaluation runs op by op, with one line', async (_, spoil, why) => {
    const { weights, computer, idle, notes } = await setUp(models['average pooling']!(), (modelStep) => ({
      ...modelStep,
      outputs: (inputs) => modelStep.outputs(inputs).map(spoil),
    }));
    const tensors = tf.memory().numTensors;
    for (let i = 0; i < 3; i++) {
      const { lossSum } = await computer.evaluate(shardOf(6));
      expect(lossSum).toBeGreaterThan(0);
      idle.run();
    }
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(why);
    expect(sessions()).toBe(0);
    await compute(computer, 1, shardOf(6), weights.length);
    idle.run();
    expect(sessions()).toBe(1);
    expect(tf.memory().numTensors).toBe(tensors);
    computer.dispose();
  });
});
