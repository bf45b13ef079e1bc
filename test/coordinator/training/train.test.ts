import { describe, expect, it } from 'vitest';
import type { EpochRecord } from '../../../shared/protocol/messages.ts';
import type { Optimizer } from '../../../coordinator/optimizer/optimizer.ts';
import { StepRunner } from '../../../coordinator/training/step.ts';
import { epochOrder } from '../../../coordinator/training/sampler.ts';
import type { TrainingResult } from '../../../coordinator/training/progress.ts';
import { train } from '../../../coordinator/training/train.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import type { Job } from '../../../shared/model/job.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool, type Client } from '../pool/pool-harness.ts';
import { fixedWeights } from '../../../coordinator/optimizer/fixed-weights.ts';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { imageDataset } from '../../../shared/data/dataset.ts';

const split = (count: number) => ({
  images: new Uint8Array(2 * count),
  labels: new Uint8Array(count),
  count,
});

/** Ten samples in batches of four: steps of 4, 4 and 2 samples; five to evaluate. */
function training(changes: Partial<Job> = {}) {
  const job: Job = { ...exampleJob, batchSize: 4, epochs: 2, ...changes };
  const connections = testPool();
  const { pool, clock } = connections;
  const stop = new AbortController();
  const steps: number[] = [];
  const lines: string[] = [];
  const saved: EpochRecord[] = [];
  const weights = new Float32Array(6);
  const gradientSum = new Float32Array(6);
  const optimizer: Optimizer = {
    ...fixedWeights(weights),
    gradientSum,
    apply({ samples }) {
      steps.push(samples);
      weights[0] = weights[0]! + gradientSum[0]! / samples;
    },
  };
  const start = (): { readonly result: TrainingResult | null } => {
    const state: { result: TrainingResult | null } = { result: null };
    void train({
      job,
      dataset: imageDataset({
        name: 'made',
        description: '',
        sampleShape: [2, 1, 1],
        classes: 2,
        train: split(10),
        test: split(5),
      }),
      optimizer,
      stepRunner: new StepRunner({
        pool,
        job,
        clock,
        mode: standardMode([0]),
        signal: stop.signal,
        onWaiting: () => undefined,
      }),
      pool,
      report: {
        epochStarted: (epoch, epochs, count) => lines.push(`epoch ${epoch}/${epochs} of ${count}`),
        stepFinished: ({ epoch, step, loss, metrics }) =>
          lines.push(`${epoch}.${step}: ${loss} ${metrics.accuracy?.toFixed(2)}`),
        epochFinished: ({ epoch }) => lines.push(`end of epoch ${epoch}`),
      },
      clock,
      signal: stop.signal,
      save: (record) => Promise.resolve(void saved.push(record)),
    }).then((result) => (state.result = result));
    return state;
  };
  return { ...connections, stop, steps, lines, saved, weights, start };
}

/** Answers every shard: loss 2 a sample, one correct, a gradient of as many ones as there are samples; half a second. */
function answerAll(client: Client, skip: (ms: number) => void): void {
  client.onShard = () => {
    const { samples } = client.messages('shard').at(-1)!;
    skip(500);
    void client.answer({ lossSum: 2 * samples }, Array<number>(6).fill(samples));
  };
}

/** Sample numbers of all shards of a task. The samples of a shard without payload were prefetched. */
function sampleNumbersOf(client: Client, task: string): number[] {
  let prefetched = new Uint8Array(0);
  return client.received.flatMap(({ message, payload }) => {
    if (message.type === 'prefetch') prefetched = Uint8Array.from(payload);
    if (message.type !== 'shard' || message.task !== task) return [];
    const samples = payload.length > 0 ? Uint8Array.from(payload) : prefetched;
    return [...viewShard(samples, message.samples, exampleJob).sampleNumbers];
  });
}

async function finish(state: { readonly result: TrainingResult | null }): Promise<TrainingResult> {
  for (let turn = 0; turn < 50 && state.result === null; turn++) await settle();
  return state.result!;
}

describe('the training loop', () => {
  it('trains on every sample of every epoch once, in the order of the seed, with the short batch last', async () => {
    const { join, clock, steps, start, weights } = training();
    const ann = await join('ann');
    answerAll(ann, clock.skip);
    expect(await finish(start())).toMatchObject({ epochs: 2, steps: 6 });
    expect(steps).toEqual([4, 4, 2, 4, 4, 2]);
    expect(sampleNumbersOf(ann, 'train')).toEqual([
      ...epochOrder(exampleJob.seed, 1, 10),
      ...epochOrder(exampleJob.seed, 2, 10),
    ]);
    expect(weights[0]).toBe(6);
  });

  it('evaluates the whole test set after each epoch, with the weights of that time', async () => {
    const { join, clock, start } = training();
    const ann = await join('ann');
    answerAll(ann, clock.skip);
    await finish(start());
    expect(sampleNumbersOf(ann, 'evaluate')).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    const first = ann.received.flatMap(({ message, payload }) =>
      message.type === 'weights' ? [new Float32Array(payload.buffer, payload.byteOffset, 1)[0]] : [],
    );
    expect(first).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const evaluated = ann.messages('shard').filter(({ task }) => task === 'evaluate');
    expect(evaluated.map(({ step }) => step)).toEqual([3, 6]);
  });

  it('reports means over the samples of the epoch so far, and saves its record', async () => {
    const { join, clock, start, lines, saved } = training({ epochs: 1 });
    answerAll(await join('ann'), clock.skip);
    const trained = await finish(start());
    expect(lines).toEqual(['epoch 1/1 of 3', '1.1: 2 0.25', '1.2: 2 0.25', '1.3: 2 0.30', 'end of epoch 1']);
    expect(saved).toEqual([
      {
        epoch: 1,
        loss: 2,
        accuracy: 0.3,
        val_loss: 2,
        val_accuracy: 0.2,
        seconds: 2,
        samples_per_second: 10 / 1.5,
        workers: 1,
        data: 'made',
        codec: 'float32/float32',
      },
    ]);
    expect(trained.last).toEqual(saved[0]);
  });

  it('gives the same weights with three workers as with one', async () => {
    const run = async (names: string[]): Promise<Float32Array> => {
      const { join, clock, start, weights } = training();
      for (const name of names) answerAll(await join(name), clock.skip);
      await finish(start());
      return weights;
    };
    expect(await run(['ann', 'bob', 'cyd'])).toEqual(await run(['ann']));
  });

  it('finishes the step in progress when it is stopped, and saves no unfinished epoch', async () => {
    const { join, start, stop, steps, saved } = training();
    const ann = await join('ann');
    const state = start();
    await settle();
    stop.abort();
    await settle();
    expect(state.result).toBeNull();
    await ann.answer();
    expect(state.result).toEqual({ epochs: 0, steps: 1, last: null });
    expect([steps, saved]).toEqual([[4], []]);
  });

  it('ends with the finished steps if it is stopped while no worker is connected', async () => {
    const { join, start, stop } = training();
    const ann = await join('ann');
    const state = start();
    await settle();
    await ann.answer();
    ann.end.terminate();
    await settle();
    stop.abort();
    await settle();
    expect(state.result).toEqual({ epochs: 0, steps: 1, last: null });
  });

  it('does nothing for 0 epochs, or if it was stopped before', async () => {
    expect(await finish(training({ epochs: 0 }).start())).toEqual({ epochs: 0, steps: 0, last: null });
    const stopped = training();
    stopped.stop.abort();
    expect(await finish(stopped.start())).toEqual({ epochs: 0, steps: 0, last: null });
    expect(stopped.lines).toEqual([]);
  });
});
