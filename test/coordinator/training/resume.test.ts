import { describe, expect, it } from 'vitest';
import { createOptimizer } from '../../../coordinator/optimizer/optimizer.ts';
import { StepRunner } from '../../../coordinator/training/step.ts';
import type { ResumePoint, TrainingResult } from '../../../coordinator/training/progress.ts';
import { train } from '../../../coordinator/training/train.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../coordinator/run/checkpoint.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import type { Job } from '../../../shared/model/job.ts';
import type { EpochRecord } from '../../../shared/protocol/messages.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { heldBy } from '../weights/updates-harness.ts';
import { testPool, type Client } from '../pool/pool-harness.ts';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { imagesOf } from '../../support/images.ts';
import { imageDataset } from '../../../shared/data/dataset.ts';

const job: Job = { ...exampleJob, batchSize: 4, epochs: 3, layout: [{ shape: [6], trainable: true }] };
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
    const shard = viewShard(payload.length > 0 ? payload.slice() : prefetched, message.samples, job);
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

/**
 * Trains the job with one worker.
 * @param from checkpoint to resume from
 * @param leaveIn step, from 0, in which the worker leaves after the first bucket of its gradient, and the run is stopped
 */
async function run(from?: Buffer, leaveIn?: number): Promise<Run> {
  const stop = new AbortController();
  const mode = standardMode(leaveIn === undefined ? [0] : [0, OFFSET]);
  const { pool, clock, join } = testPool({ mode });
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights } = optimizer;
  weights.set([1, 2, 3, 4, 5, 6]);
  const records: EpochRecord[] = [];
  const checkpoints: Buffer[] = [];
  let resumeFrom: ResumePoint | undefined;
  if (from !== undefined) {
    const { vectors, position, tally } = decodeCheckpoint(from);
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
      checkpoints.push(encodeCheckpoint({ position, tally, job, vectors: { weights, ...optimizer.state } }));
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
