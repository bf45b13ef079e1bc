import { describe, expect, it } from 'vitest';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
import { StepRunner } from '../../../coordinator/training/step.ts';
import type { ResumePoint, TrainingResult } from '../../../coordinator/training/progress.ts';
import { train } from '../../../coordinator/training/train.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../coordinator/run/checkpoint.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import type { OptimizerSettings } from '../../../shared/model/optimizer-settings.ts';
import type { Job } from '../../../shared/model/job.ts';
import type { EpochRecord } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { heldBy } from '../weights/updates-harness.ts';
import { testPool, type Client } from '../pool/pool-harness.ts';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { imagesOf } from '../../support/images.ts';
import { imageDataset } from '../../../shared/data/dataset.ts';

const jobOfRun: Job = { ...exampleJob, batchSize: 4, epochs: 3, layout: [{ shape: [6], trainable: true }] };
/** Offset of the second bucket. */
const OFFSET = 4;
const split = (count: number) => ({
  images: Uint8Array.from({ length: 2 * count }, (_, i) => i * 7),
  labels: new Uint8Array(count),
  count,
});

/** Answers with a gradient that depends on the weights that it was sent and on its samples. */
function answerAll(client: Client, onShard?: (answer: Float32Array) => boolean): void {
  let prefetched = new Uint8Array(0);
  client.onShard = () => {
    const { message, payload } = client.received.at(-1)!;
    if (message.type !== 'shard') return;
    const { weights } = heldBy(client);
    for (const each of client.received)
      if (each.message.type === 'prefetch') prefetched = each.payload.slice();
    const shard = viewShard(payload.length > 0 ? payload.slice() : prefetched, message.samples, jobOfRun);
    const { sampleNumbers } = shard;
    const pull = imagesOf(shard).reduce((sum, value) => sum + value / 255, 0);
    const values = weights.map((weight, i) => weight * message.samples - pull * Math.cos(i));
    if (onShard !== undefined && message.task === 'train' && !onShard(Float32Array.from(values))) return;
    void client.answer({ lossSum: Math.abs(weights[0]!) + sampleNumbers[0]!, metrics: [1] }, values);
  };
}

interface Run {
  readonly trained: TrainingResult;
  readonly weights: Float32Array;
  readonly records: readonly EpochRecord[];
  readonly checkpoints: readonly Buffer[];
}

interface RunOptions {
  readonly settings?: OptimizerSettings;
  readonly usesBuckets?: boolean;
}

/**
 * Trains the job with one worker.
 * @param from checkpoint to resume from
 * @param leaveIn step, from 0, in which the worker leaves after the first bucket of its gradient, and the run is stopped
 */
async function run(
  from?: Buffer,
  leaveIn?: number,
  { settings = exampleJob.optimizer, usesBuckets = leaveIn !== undefined }: RunOptions = {},
): Promise<Run> {
  const stop = new AbortController();
  const job = { ...jobOfRun, optimizer: settings };
  const mode = standardMode(usesBuckets ? [0, OFFSET] : [0]);
  const { pool, clock, join } = testPool({ mode });
  const optimizer = createOptimizer(settings, layoutOf(job.layout));
  const { weights } = optimizer;
  weights.set([1, 2, 3, 4, 5, 6]);
  const records: EpochRecord[] = [];
  const checkpoints: Buffer[] = [];
  let resumeFrom: ResumePoint | undefined;
  if (from !== undefined) {
    const { vectors, position, tally, plateau } = decodeCheckpoint(from);
    if (plateau !== undefined) optimizer.plateau?.restore(plateau);
    weights.set(vectors.weights!);
    for (const [name, values] of Object.entries(optimizer.state)) values.set(vectors[name]!);
    resumeFrom = { position, tally, last: null };
  }
  const ann = await join('ann');
  answerAll(ann, (values) => {
    const { step, shard } = ann.messages('shard').at(-1)!;
    if (step !== leaveIn) return true;
    void ann.say(
      { type: 'gradient', step, shard, offset: OFFSET },
      new Uint8Array(values.slice(OFFSET).buffer),
    );
    void ann.say({ type: 'leaving', reason: 'lid closed' }).then(() => stop.abort());
    return false;
  });
  const { signal } = stop;
  const state: { trained: TrainingResult | null } = { trained: null };
  void train({
    job,
    optimizer,
    pool,
    clock,
    signal,
    dataset: imageDataset({
      name: 'made',
      description: '',
      sampleShape: [2, 1, 1],
      classes: 2,
      train: split(10),
      test: split(5),
    }),
    stepRunner: new StepRunner({ pool, job, clock, mode, signal, onWaiting: () => undefined }),
    report: { epochStarted: () => undefined, stepFinished: () => undefined, epochFinished: () => undefined },
    save: (record) => Promise.resolve(void records.push(record)),
    ...(resumeFrom === undefined ? {} : { resumeFrom }),
    checkpoint: (_, position, tally) => {
      const state = optimizer.plateau === null ? {} : { plateau: optimizer.plateau.state };
      const vectors = { weights, ...optimizer.state };
      checkpoints.push(encodeCheckpoint({ position, tally, job, vectors, ...state }));
      return Promise.resolve();
    },
  }).then((result) => (state.trained = result));
  for (let turn = 0; turn < 100 && state.trained === null; turn++) await settle();
  return { trained: state.trained!, weights: weights.slice(), records, checkpoints };
}

const timeless = (record: EpochRecord): EpochRecord => ({ ...record, seconds: 0, samples_per_second: 0 });

describe('a run that is resumed', () => {
  it('ends with the same weights, bit for bit, and the same history, from the checkpoint of any step', async () => {
    const whole = await run();
    expect(whole.trained).toMatchObject({ epochs: 3, steps: 9 });
    expect(whole.checkpoints).toHaveLength(12);
    for (const checkpoint of whole.checkpoints) {
      const { epoch } = decodeCheckpoint(checkpoint).position;
      const resumed = await run(checkpoint);
      expect(resumed.trained).toMatchObject({ epochs: 3, steps: 9 });
      expect(Buffer.from(resumed.weights.buffer)).toEqual(Buffer.from(whole.weights.buffer));
      expect(resumed.records.map(timeless)).toEqual(whole.records.slice(epoch - 1).map(timeless));
    }
  });

  it('continues from the last finished step if it was stopped in a step that no worker finished', async () => {
    const whole = await run();
    for (const step of [1, 5]) {
      const stopped = await run(undefined, step);
      expect(stopped.trained.steps).toBe(step);
      const resumed = await run(stopped.checkpoints.at(-1));
      expect(resumed.trained).toMatchObject({ epochs: 3, steps: 9 });
      expect(Buffer.from(resumed.weights.buffer)).toEqual(Buffer.from(whole.weights.buffer));
    }
    expect((await run(undefined, 0)).checkpoints).toEqual([]);
  });
});

const sgd = { name: 'sgd', learningRate: 0.01, momentum: 0, nesterov: false } as const;
const adam = {
  name: 'adam',
  learningRate: 0.1,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-7,
  amsgrad: true,
} as const;
const cosine = { name: 'cosine', decaySteps: 6, alpha: 0.1, warmupSteps: 3, warmupFrom: 0 } as const;
const plateau = {
  name: 'plateau',
  monitor: 'val_loss',
  factor: 0.5,
  patience: 1,
  minDelta: 1e6,
  cooldown: 0,
  minLearningRate: 0.001,
} as const;
const OPTIMIZERS: [string, OptimizerSettings][] = [
  ['two state vectors and a schedule', { ...adam, schedule: cosine }],
  ['a plateau', { ...sgd, schedule: plateau }],
  ['accumulation', { ...sgd, momentum: 0.9, accumulate: 2 }],
  ['a moving average', { ...sgd, ema: { momentum: 0.5, overwriteSteps: 4 } }],
  ['a global norm', { ...adam, globalClipNorm: 0.5, weightDecay: 0.1 }],
  [
    'a penalty and a constraint',
    {
      ...sgd,
      tensorRules: [
        { tensor: 0, penalty: { l1: 0, l2: 0.1 }, constraint: { name: 'maxNorm', maxValue: 2, axes: [0] } },
      ],
    },
  ],
];

describe.each(OPTIMIZERS)('with %s', (_, settings) => {
  it('a resumed run ends with the same bits, with and without buckets', async () => {
    const whole = await run(undefined, undefined, { settings });
    const inBuckets = await run(undefined, undefined, { settings, usesBuckets: true });
    expect(inBuckets.weights).toEqual(whole.weights);
    expect(inBuckets.records.map(timeless)).toEqual(whole.records.map(timeless));
    for (const [i, checkpoint] of whole.checkpoints.entries()) {
      const resumed = await run(checkpoint, undefined, { settings, usesBuckets: i % 2 === 0 });
      expect(resumed.trained).toMatchObject({ epochs: 3, steps: 9 });
      expect(Buffer.from(resumed.weights.buffer)).toEqual(Buffer.from(whole.weights.buffer));
      const { epoch } = decodeCheckpoint(checkpoint).position;
      expect(resumed.records.map(timeless)).toEqual(whole.records.slice(epoch - 1).map(timeless));
    }
  });
});

it('a plateau reduces the learning rate after each epoch without an improvement', async () => {
  const { checkpoints } = await run(undefined, undefined, { settings: { ...sgd, schedule: plateau } });
  const rates = checkpoints.map((checkpoint) => decodeCheckpoint(checkpoint).plateau?.learningRate);
  expect([rates[0], rates[3], rates[7], rates[11]].map((rate) => rate?.toFixed(4))).toEqual([
    '0.0100',
    '0.0100',
    '0.0050',
    '0.0025',
  ]);
});

it('a moving average is evaluated, and does not change the training', async () => {
  const plain = await run(undefined, undefined, { settings: sgd });
  for (const usesBuckets of [false, true]) {
    const settings = { ...sgd, ema: { momentum: 0.9 } };
    const averaged = await run(undefined, undefined, { settings, usesBuckets });
    expect(averaged.weights).toEqual(plain.weights);
    expect(averaged.records.map(({ loss }) => loss)).toEqual(plain.records.map(({ loss }) => loss));
    // The loss of this test's worker is the first weight, and 4 samples' numbers.
    const { vectors } = decodeCheckpoint(averaged.checkpoints.at(-1)!);
    const difference = Math.abs(vectors.averageWeights![0]!) - Math.abs(plain.weights[0]!);
    expect(averaged.records[2]!.val_loss - plain.records[2]!.val_loss).toBeCloseTo(difference / 5, 5);
    expect(difference).not.toBe(0);
  }
});

it('a penalty is part of the loss of training and validation', async () => {
  const tensorRules = [{ tensor: 0, penalty: { l1: 0, l2: 0.5 } }];
  // Without a learning rate, the weights stay 1 to 6.
  const settings = { ...sgd, learningRate: 0 };
  const plain = await run(undefined, undefined, { settings });
  const penalized = await run(undefined, undefined, { settings: { ...settings, tensorRules } });
  plain.records.forEach(({ loss, val_loss }, i) => {
    expect(penalized.records[i]!.loss - loss).toBeCloseTo(0.5 * 91, 6);
    expect(penalized.records[i]!.val_loss - val_loss).toBeCloseTo(0.5 * 91, 6);
  });
});
