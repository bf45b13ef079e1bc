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
import { createGradientComputer, copyingReader } from '../../../../shared/engine/tf-engine.ts';
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
  readonly correct: number;
}

async function compute(
  trainer: GradientComputer,
  step: number,
  shard: Shard,
  length: number,
): Promise<Computed> {
  const gradient = new Float32Array(length);
  return { gradient, ...(await trainer.gradient(step as Step, shard, gradient)) };
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
    const trainer = createCapturedGradientComputer(native, job, modelStep, { idle, note });
    trainer.setWeights(initialWeights);
    return { job, weights: initialWeights, trainer, idle, notes };
  }

  async function opByOp(job: Job, weights: Float32Array): Promise<GradientComputer> {
    const modelStep = await createModelStep(tf, job);
    const trainer = createGradientComputer(tf, job, modelStep, new ShardInputs(job), copyingReader);
    trainer.setWeights(weights);
    return trainer;
  }

  const cases = Object.entries(models).flatMap(([name, topology]) =>
    [6, 1].map((samples) => [name, samples, topology] as const),
  );
  test.each(cases)(
    '%s, %d samples: captured as run op by op, and as by tfjs alone',
    async (_, samples, make) => {
      const { job, weights, trainer, idle, notes } = await setUp(make());
      const shard = shardOf(samples);
      await compute(trainer, 1, shard, weights.length);
      await trainer.evaluate(shard);
      expect(sessions()).toBe(0);
      idle.run();
      expect(notes).toEqual([]);
      expect(sessions()).toBe(2);

      const other = weights.map((weight, i) => weight * (1 + 0.1 * Math.sin(i)));
      trainer.setWeights(other);
      const captured = await compute(trainer, 2, shard, weights.length);
      const evaluation = await trainer.evaluate(shard);
      const probabilities = await trainer.predict(shard.images, samples);
      expect(idle.pending()).toBe(0);
      const plain = await opByOp(job, other);
      const eager = await compute(plain, 2, shard, weights.length);
      expect(relativeDifference(captured.gradient, eager.gradient)).toBeLessThan(1e-5);
      expect(captured.lossSum / eager.lossSum).toBeCloseTo(1, 5);
      expect(captured.correct).toBe(eager.correct);
      const eagerEvaluation = await plain.evaluate(shard);
      expect(evaluation.lossSum / eagerEvaluation.lossSum).toBeCloseTo(1, 5);
      const eagerProbabilities = await plain.predict(shard.images, samples);
      expect(relativeDifference(probabilities, eagerProbabilities)).toBeLessThan(1e-5);
      plain.dispose();
      trainer.dispose();
      expect(sessions()).toBe(0);

      await tf.setBackend('cpu');
      const alone = await opByOp(job, other);
      const stock = await compute(alone, 2, shard, weights.length);
      expect(relativeDifference(captured.gradient, stock.gradient)).toBeLessThan(1e-4);
      alone.dispose();
    },
  );

  test('as sufficient factors, op by op and captured: their product is the gradient, and no tensor is left', async () => {
    const { job, weights, trainer, idle, notes } = await setUp(models["the seed's CNN"]!());
    const kernel = factoredKernel(layoutOf(job.layout))!;
    const shard = shardOf(6);
    expect(trainer.supportsFactors).toBe(true);
    const whole = await opByOp(job, weights);
    const { gradient, lossSum } = await compute(whole, 2, shard, weights.length);
    const tensors: number[] = [];
    for (const how of ['op by op', 'captured', 'captured']) {
      const factored = new Float32Array(weights.length);
      const result = await trainer.gradient(2 as Step, shard, factored, undefined, true);
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
    trainer.dispose();
  });

  test('over 200 steps it holds no more tensors and leaves no files', async () => {
    // Its own: tests beside this one capture graphs as well.
    const folder = mkdtempSync(join(tmpdir(), 'gradcast-capture-'));
    vi.stubEnv('TMPDIR', folder);
    const { weights, trainer, idle } = await setUp(models["the seed's CNN"]!());
    const shard = shardOf(6);
    await compute(trainer, 0, shard, weights.length);
    idle.run();
    await compute(trainer, 1, shard, weights.length);
    const addon = backend.binding as unknown as { getNumOfTensors(): number };
    const [tensors, handles] = [tf.memory().numTensors, addon.getNumOfTensors()];
    let rssAt50 = 0;
    for (let step = 2; step < 202; step++) {
      trainer.setWeights(weights);
      trainer.prepare(step as Step, shard);
      await compute(trainer, step, shard, weights.length);
      if (step === 50) {
        collectGarbage();
        rssAt50 = process.memoryUsage.rss();
      }
    }
    collectGarbage();
    expect(tf.memory().numTensors).toBe(tensors);
    expect(addon.getNumOfTensors()).toBe(handles);
    expect((process.memoryUsage.rss() - rssAt50) / 2 ** 20).toBeLessThan(60);
    trainer.dispose();
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  test('preparing a replayed shard changes no bit of its gradient', async () => {
    const { weights, trainer, idle } = await setUp(models["the seed's CNN"]!());
    const shard = shardOf(6);
    await compute(trainer, 0, shard, weights.length);
    idle.run();
    const plain = await compute(trainer, 4, shard, weights.length);
    expect((await compute(trainer, 5, shard, weights.length)).gradient).not.toEqual(plain.gradient);
    for (const prepared of [4, 5]) {
      trainer.prepare(prepared as Step, shard);
      expect(await compute(trainer, 4, shard, weights.length)).toEqual(plain);
    }
    trainer.dispose();
  });

  test('no more graphs than there is room for; other sizes stay op by op', async () => {
    const { job, weights, trainer, idle, notes } = await setUp(models['average pooling']!());
    for (let samples = 1; samples <= 8; samples++) {
      await compute(trainer, samples, shardOf(samples), weights.length);
      idle.run();
    }
    expect(sessions()).toBe(6);
    const plain = await opByOp(job, weights);
    for (const samples of [2, 8]) {
      const { gradient } = await compute(trainer, 9, shardOf(samples), weights.length);
      const eager = await compute(plain, 9, shardOf(samples), weights.length);
      expect(relativeDifference(gradient, eager.gradient)).toBeLessThan(1e-5);
    }
    expect(notes).toEqual([]);
    plain.dispose();
    trainer.dispose();
    expect(sessions()).toBe(0);
  });

  const random = fixedRandom();
  const unfit: [
    string,
    (logits: ReturnType<ModelStep['logits']>) => ReturnType<ModelStep['logits']>,
    string,
  ][] = [
    ['a value that JavaScript drew', (y) => tf.add(y, tf.scalar(random())), 'off by'],
    [
      'a random op',
      (y) => tf.add(y, tf.cast(tf.multinomial(tf.zeros([2]) as never, 1), 'float32')),
      'random numbers',
    ],
    ['a value that was read back', (y) => tf.add(y, tf.scalar(tf.sum(y).dataSync()[0]!)), 'read back'],
  ];
  test.each(unfit)('%s: evaluation stays op by op, one line says so', async (_, spoil, why) => {
    const { weights, trainer, idle, notes } = await setUp(models['average pooling']!(), (modelStep) => ({
      ...modelStep,
      logits: (input) => spoil(modelStep.logits(input)),
    }));
    const tensors = tf.memory().numTensors;
    for (let i = 0; i < 3; i++) {
      const { lossSum } = await trainer.evaluate(shardOf(6));
      expect(lossSum).toBeGreaterThan(0);
      idle.run();
    }
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(why);
    expect(sessions()).toBe(0);
    await compute(trainer, 1, shardOf(6), weights.length);
    idle.run();
    expect(sessions()).toBe(1);
    expect(tf.memory().numTensors).toBe(tensors);
    trainer.dispose();
  });
});
