import { describe, expect, it } from 'vitest';
import { standardMode } from '../../../coordinator/modes/standard-mode.ts';
import { evenSplit, splitEvenly } from '../../../coordinator/scheduling/partition.ts';
import { Interrupted } from '../../../coordinator/training/errors.ts';
import { RoundExecutor, type RunningRound } from '../../../coordinator/training/round-executor.ts';
import { ShardSender } from '../../../coordinator/training/shard-sender.ts';
import { WeightsPublisher } from '../../../coordinator/weights/publisher.ts';
import { exampleJob, step } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool, type Client } from '../pool/pool-harness.ts';
import { sendBucket, sendLast } from './buckets-harness.ts';
import { imageSplit, wholeSplit } from '../../../shared/data/dataset.ts';
import { Scoring } from '../../../shared/model/scoring.ts';

const SAMPLES = 8;
const SPLIT = imageSplit({
  images: new Uint8Array(2 * SAMPLES),
  labels: new Uint8Array(SAMPLES),
  count: SAMPLES,
});

/** A round over eight samples that two workers compute, in buckets of two and four values. */
async function testRound(holdsIncomplete = false) {
  const mode = standardMode([0, 4]);
  const { pool, clock, join } = testPool({ mode });
  const publisher = new WeightsPublisher(pool, 6, [0, 4]);
  const stop = new AbortController();
  const executor = new RoundExecutor({
    pool,
    clock,
    mode,
    signal: stop.signal,
    onWaiting: () => undefined,
    sender: new ShardSender({ pool, publisher, format: exampleJob, kernel: null }),
    gradientLength: 6,
    kernel: null,
    scoring: new Scoring(exampleJob),
    quantization: null,
  });
  const [ann, bob] = [await join('ann'), await join('bob')];
  publisher.beginStep(step(1), { committedWeights: new Float32Array(6) });
  const workers = [...pool.workers.keys()];
  const start = (): RunningRound =>
    executor.start(
      {
        step: step(1),
        task: 'train',
        batch: wholeSplit(SPLIT),
        timing: { record: () => undefined, stragglerAfterMs: () => Infinity },
        holdsIncomplete,
      },
      {
        workers,
        assignments: evenSplit(SAMPLES, workers),
        pending: [],
        splitRange: splitEvenly,
        depth: 1,
      },
    );
  const round = start();
  await settle();
  /** Stops the run, and takes away its workers. */
  const interrupt = async (): Promise<void> => {
    stop.abort();
    for (const client of [ann, bob]) await client.say({ type: 'leaving', reason: 'stopped' });
  };
  return { round, start, pool, ann, bob, join, interrupt };
}

/** Consumes a round; `parts` grows while the loop waits: '0-4: 4' is the bucket from 4 of the samples 0 to 4. */
function consume(round: RunningRound, onPart: () => Promise<void> = () => Promise.resolve()) {
  const parts: string[] = [];
  const loop = async (): Promise<void> => {
    for await (const { shard, buckets } of round) {
      parts.push(`${shard.from}-${shard.to}: ${buckets.map(({ offset }) => offset).join()}`);
      await onPart();
    }
  };
  return { parts, done: loop() };
}

const answerWhole = async (client: Client): Promise<void> => {
  await sendBucket(client, 4);
  await sendLast(client);
};

describe('the loop over a round', () => {
  it('gets the buckets that arrived before it began, in the order of arrival', async () => {
    const { round, ann, bob } = await testRound();
    await sendBucket(bob, 4);
    await answerWhole(ann);
    await sendLast(bob);
    const { parts, done } = consume(round);
    await done;
    expect(parts).toEqual(['4-8: 4', '0-4: 4', '0-4: 0', '4-8: 0']);
    expect(round.answers.map(({ from, buckets }) => [from, buckets.length])).toEqual([
      [0, 2],
      [4, 2],
    ]);
    expect(round.score).toEqual({ lossSum: 8, metrics: [2] });
  });

  it('gets the buckets of a gradient once it is complete, if incomplete ones are held back', async () => {
    const { round, ann, bob } = await testRound(true);
    const { parts, done } = consume(round);
    await sendBucket(bob, 4);
    await sendBucket(ann, 4);
    expect(parts).toEqual([]);
    await sendLast(bob);
    expect(parts).toEqual(['4-8: 4,0']);
    await sendLast(ann);
    await done;
    expect(parts).toEqual(['4-8: 4,0', '0-4: 4,0']);
  });

  it('waits for each bucket, and ends after the last one', async () => {
    const { round, ann, bob } = await testRound();
    const { parts, done } = consume(round);
    await settle();
    expect(parts).toEqual([]);
    await sendBucket(ann, 4);
    expect(parts).toEqual(['0-4: 4']);
    await sendLast(ann);
    await answerWhole(bob);
    await done;
    expect(parts).toEqual(['0-4: 4', '0-4: 0', '4-8: 4', '4-8: 0']);
  });

  it('gets the buckets that arrive while it handles another one', async () => {
    const { round, ann, bob } = await testRound();
    const next = [() => sendLast(ann), () => sendBucket(bob, 4), () => sendLast(bob)];
    await sendBucket(ann, 4);
    const { parts, done } = consume(round, () => next.shift()?.() ?? Promise.resolve());
    await done;
    expect(parts).toEqual(['0-4: 4', '0-4: 0', '4-8: 4', '4-8: 0']);
  });

  it('fails with the error that ends the run, and so does a round that begins later', async () => {
    const { round, ann, pool, start } = await testRound();
    await sendBucket(ann, 4);
    const { parts, done } = consume(round);
    const error = new Error('The coordinator has closed.');
    const failed = expect(done).rejects.toBe(error);
    pool.finish('', error);
    await failed;
    expect(parts).toEqual(['0-4: 4']);
    await expect(consume(start()).done).rejects.toBe(error);
  });

  it('fails after the buckets that arrived before the error', async () => {
    const { round, ann, interrupt } = await testRound();
    await sendBucket(ann, 4);
    await interrupt();
    const { parts, done } = consume(round);
    await expect(done).rejects.toBeInstanceOf(Interrupted);
    expect(parts).toEqual(['0-4: 4']);
  });

  it('fails while it waits', async () => {
    const { round, interrupt } = await testRound();
    const { parts, done } = consume(round);
    const failure = expect(done).rejects.toBeInstanceOf(Interrupted);
    await interrupt();
    await failure;
    expect(parts).toEqual([]);
  });

  it('ends as the round ended first', async () => {
    const complete = await testRound();
    for (const client of [complete.ann, complete.bob]) await answerWhole(client);
    await answerWhole(complete.bob);
    await complete.interrupt();
    const { parts, done } = consume(complete.round);
    await done;
    expect(parts).toHaveLength(4);

    const interrupted = await testRound();
    await interrupted.interrupt();
    const cyd = await interrupted.join('cyd');
    expect(cyd.messages('shard')).toEqual([]);
    await expect(consume(interrupted.round).done).rejects.toBeInstanceOf(Interrupted);
  });
});
