import { describe, expect, it } from 'vitest';
import { Feed } from '../../../coordinator/observe/feed.ts';
import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import type { FromCoordinator, FromWorker } from '../../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator, type Received } from '../../../shared/protocol/parse.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { exampleJob, step } from '../../shared/protocol/examples.ts';
import { linkedPair, type LinkedEnd } from '../../support/linked-connection.ts';
import { manualClock, settle } from '../../support/manual-clock.ts';
import { testPool } from '../pool/pool-harness.ts';

/** A feed of a run with one worker that has finished the first of four steps. */
async function testFeed() {
  const harness = testPool();
  const feed = new Feed({ job: exampleJob, clock: harness.clock, pool: harness.pool });
  const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
  const finishStep = (epoch: number, stepOfEpoch: number, lossSum: number, samples = 4): void => {
    harness.clock.skip(100);
    feed.stepFinished({
      epoch,
      step: stepOfEpoch,
      steps: 2,
      loss: 0.5,
      accuracy: 0.75,
      samplesPerSecond: 40,
      workers: 1,
      batch: { samples, lossSum, correct: Math.min(3, samples) },
      weights: { step: step((epoch - 1) * 2 + stepOfEpoch), source: { committedWeights: weights } },
    });
  };
  const watch = () => {
    const received: Received<FromCoordinator>[] = [];
    const { left, right } = linkedPair((side) =>
      side === 'left'
        ? {
            onFrame: (frame) => received.push(parseFromCoordinator(frame)),
            onClose: () => undefined,
          }
        : handler,
    );
    const handler: ConnectionHandler = feed.watch(right);
    const end: LinkedEnd = left;
    const send = (message: FromWorker): Promise<void> => {
      end.send(frameFromWorker(message));
      return settle();
    };
    return { received, end, send };
  };
  const tick = async (): Promise<void> => {
    await harness.clock.advance(500);
    await settle();
  };
  await harness.join('ann');
  feed.epochStarted(1);
  finishStep(1, 1, 8);
  return { ...harness, feed, weights, finishStep, watch, tick };
}

const epoch = {
  epoch: 1,
  loss: 1,
  accuracy: 0.5,
  val_loss: 0.9,
  val_accuracy: 0.6,
  seconds: 2,
  samples_per_second: 40,
  workers: 1,
  data: 'made',
};

describe('the feed', () => {
  it('sends a new observer no point twice when an earlier observer is just leaving', async () => {
    const { watch, tick, finishStep } = await testFeed();
    const first = watch();
    finishStep(1, 2, 8);
    first.end.close(1000, 'bye');
    await tick();
    const second = watch();
    await tick();
    const [run, progress] = second.received.map(({ message }) => message);
    expect(run).toMatchObject({ type: 'run', curve: [{ step: 1 }, { step: 2 }] });
    expect(progress).toMatchObject({ type: 'progress', curve: [] });
  });

  it('sends an observer the history first, and then the progress twice a second', async () => {
    const { watch, tick, finishStep, feed } = await testFeed();
    feed.epochFinished(epoch);
    feed.epochStarted(2);
    const { received } = watch();
    await settle();
    expect(received.map(({ message }) => message)).toMatchObject([
      {
        type: 'run',
        protocol: 2,
        job: exampleJob,
        steps: 2,
        curve: [{ step: 1, steps: 1, loss: 2, accuracy: 0.75 }],
        epochs: [epoch],
      },
    ]);
    finishStep(2, 1, 4);
    await tick();
    expect(received.slice(1).map(({ message }) => message)).toMatchObject([
      {
        type: 'progress',
        epoch: 2,
        step: 1,
        loss: 0.5,
        accuracy: 0.75,
        samplesPerSecond: 40,
        curve: [{ step: 3, loss: 1 }],
        workers: [{ name: 'ann', backend: 'wasm', samples: 0, rttMs: null }],
        slowest: null,
      },
    ]);
    await tick();
    expect(received.at(-1)!.message).toMatchObject({ type: 'progress', curve: [] });
    feed.epochFinished({ ...epoch, epoch: 2 });
    await settle();
    expect(received.at(-1)!.message).toMatchObject({ type: 'epoch', record: { epoch: 2 } });
  });

  it('reports the work of each worker, the slowest worker, and the reason', async () => {
    const { pool, join, watch, tick, finishStep } = await testFeed();
    await join('bob');
    const [ann, bob] = [...pool.workers.values()];
    const { received } = watch();
    await tick();
    for (let i = 0; i < 2; i++) {
      ann!.stats.record('train', 3);
      bob!.stats.record('train', 1);
      ann!.link.meter.recordAnswer({ samples: 3, computeMs: 90, turnaroundMs: 100 });
      bob!.link.meter.recordAnswer({ samples: 1, computeMs: 10, turnaroundMs: 300 });
      finishStep(1, 1, 8);
    }
    await tick();
    expect(received.at(-1)!.message).toMatchObject({
      workers: [
        { name: 'ann', share: 0.75, samples: 6, computeMs: 90, turnaroundMs: 100 },
        { name: 'bob', share: 0.25, samples: 2, turnaroundMs: 300 },
      ],
      slowest: { id: bob!.id, cause: 'link' },
    });
    const { message } = received.at(-1)!;
    const [first, second] = message.type === 'progress' ? message.workers : [];
    expect(first!.samplesPerSecond).toBeCloseTo(3 * second!.samplesPerSecond);
    // Two samples in half a second, the time between two messages.
    expect(second!.samplesPerSecond).toBe(4);
  });

  it('excludes evaluations, whose shards are larger, from the figures of training', async () => {
    const { pool, watch, tick, finishStep } = await testFeed();
    const [ann] = pool.workers.values();
    const { received } = watch();
    await tick();
    // The last batch of an epoch is smaller, and the share of its only worker is still 1.
    for (const samples of [4, 2]) {
      ann!.stats.record('train', samples);
      ann!.link.meter.recordAnswer({ samples, computeMs: 90, turnaroundMs: 100 });
      finishStep(1, 2, 8, samples);
    }
    ann!.stats.record('evaluate', 1_000);
    await tick();
    expect(received.at(-1)!.message).toMatchObject({
      workers: [{ share: 1, samples: 1_006, computeMs: 90, turnaroundMs: 100 }],
    });
  });

  it('sends weights once for each request, and at most every two seconds', async () => {
    const { watch, tick, weights, finishStep } = await testFeed();
    const observer = watch();
    const sent = () => observer.received.filter(({ message }) => message.type === 'weights');
    await tick();
    expect(sent()).toHaveLength(0);
    await observer.send({ type: 'snapshot' });
    await tick();
    expect(sent()).toMatchObject([{ message: { step: 1 } }]);
    expect(new Float32Array(sent()[0]!.payload.slice().buffer)).toEqual(weights);
    await observer.send({ type: 'snapshot' });
    finishStep(1, 2, 8);
    await tick();
    expect(sent()).toHaveLength(1);
    for (let i = 0; i < 8; i++) await tick();
    expect(sent()).toMatchObject([{}, { message: { step: 2 } }]);
  });

  it('sends each observer each point of the curve exactly once', async () => {
    const { watch, tick, finishStep } = await testFeed();
    const first = watch();
    finishStep(1, 2, 4);
    const second = watch();
    finishStep(2, 1, 2);
    await tick();
    const steps = ({ received }: ReturnType<typeof watch>): number[] =>
      received.flatMap(({ message }) => ('curve' in message ? message.curve.map((point) => point.step) : []));
    expect([steps(first), steps(second)]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  it('sends committed weights, not those of a step that may still be rolled back', async () => {
    const { watch, tick, feed } = await testFeed();
    const committedWeights = Float32Array.of(1, 2, 3, 4, 5, 6);
    feed.stepFinished({
      epoch: 1,
      step: 2,
      steps: 2,
      loss: 0.5,
      accuracy: 0.75,
      samplesPerSecond: 40,
      workers: 1,
      batch: { samples: 4, lossSum: 1, correct: 3 },
      weights: { step: step(2), source: { committedWeights } },
    });
    const observer = watch();
    await observer.send({ type: 'snapshot' });
    await tick();
    const { message, payload } = observer.received.at(-1)!;
    expect(message).toEqual({ type: 'weights', step: 2, offset: 0 });
    expect([...new Float32Array(payload.slice().buffer)]).toEqual([...committedWeights]);
  });

  it('begins with the epochs before a run was resumed', async () => {
    const { pool, clock } = testPool();
    const feed = new Feed({ job: exampleJob, clock, pool, epochs: [epoch] });
    const sent: Uint8Array[] = [];
    feed.watch({
      send: (frame) => sent.push(frame),
      close: () => undefined,
      terminate: () => undefined,
      bufferedBytes: 0,
    });
    await settle();
    expect(parseFromCoordinator(sent[0]!).message).toMatchObject({ type: 'run', epochs: [epoch] });
  });

  it('skips observers with too many unsent bytes until these are sent', async () => {
    const { feed, tick } = await testFeed();
    let frames = 0;
    let bufferedBytes = 2 << 20;
    feed.watch({
      send: () => frames++,
      close: () => undefined,
      terminate: () => undefined,
      get bufferedBytes() {
        return bufferedBytes;
      },
    });
    await tick();
    expect(frames).toBe(1);
    bufferedBytes = 0;
    await tick();
    expect(frames).toBe(2);
  });

  it('closes observers that do not answer pings with the right numbers', async () => {
    const { clock, feed, watch } = await testFeed();
    const reading = watch();
    const guessing = watch();
    const silent = watch();
    const pings = (): number[] =>
      reading.received.flatMap(({ message }) => (message.type === 'ping' ? [message.id] : []));
    for (let i = 0; i < 200; i++) {
      await clock.advance(500);
      const id = pings().at(-1);
      if (id !== undefined) await reading.send({ type: 'pong', id });
      await guessing.send({ type: 'pong', id: i });
      if (i === 100) expect(feed.observerCount).toBe(3);
    }
    expect([reading, guessing, silent].map(({ end }) => end.closed?.code)).toEqual([
      undefined,
      CloseCode.timeout,
      CloseCode.timeout,
    ]);
    expect(pings().length).toBeGreaterThan(3);
    expect(new Set(pings()).size).toBe(pings().length);
  });

  it('limits the number of observers, and replaces one of a network that has more', () => {
    const clock = manualClock();
    const { pool } = testPool();
    const feed = new Feed({ job: exampleJob, clock, pool, maxObservers: 3 });
    const closed: string[] = [];
    const watch = (addressBlock: string): ConnectionHandler =>
      feed.watch({
        addressBlock,
        bufferedBytes: 0,
        send: () => undefined,
        terminate: () => undefined,
        close: (code) => closed.push(`${addressBlock} ${code}`),
      });
    for (let i = 0; i < 3; i++) watch('a');
    expect(() => watch('a')).toThrow('The run already has 3 observers, which is the limit.');
    watch('b');
    expect(closed).toEqual([`a ${CloseCode.noFreeSlot}`]);
    expect(() => watch('b')).toThrow('The run already has 3 observers');
    feed.close('done');
  });

  it('limits the rate of new observers of one network, and not of others', () => {
    const { pool } = testPool();
    const feed = new Feed({ job: exampleJob, clock: manualClock(), pool });
    const watch = (addressBlock: string): ConnectionHandler =>
      feed.watch({
        addressBlock,
        bufferedBytes: 0,
        send: () => undefined,
        terminate: () => undefined,
        close: () => undefined,
      });
    const joinAndLeave = (): void => watch('a').onClose(1000, '');
    for (let i = 0; i < 200; i++) joinAndLeave();
    expect(joinAndLeave).toThrow('Too many new observers');
    watch('b');
    feed.close('done');
  });

  it('accepts no other messages from observers than pong and snapshot', async () => {
    const { watch, feed } = await testFeed();
    const wrong = watch();
    await wrong.send({ type: 'ready' });
    expect(wrong.end.closed?.code).toBe(4409);
    expect(feed.observerCount).toBe(0);
    const large = watch();
    large.end.send(new Uint8Array((64 << 10) + 1));
    await settle();
    expect(large.end.closed?.code).toBe(4413);
  });

  it('stays open after the run: new observers learn the reason of its end and can request the last weights', async () => {
    const { watch, feed, tick, weights, clock } = await testFeed();
    const first = watch();
    const requesting = watch();
    await requesting.send({ type: 'snapshot', atEnd: true });
    await tick();
    expect(requesting.received.filter(({ message }) => message.type === 'weights')).toEqual([]);
    feed.finish('The run is finished.');
    await settle();
    const types = ({ received }: typeof first) => received.map(({ message }) => message.type);
    expect(types(first).slice(-2)).toEqual(['progress', 'finished']);
    expect(types(requesting).slice(-3)).toEqual(['progress', 'finished', 'weights']);
    expect(new Float32Array(requesting.received.at(-1)!.payload.slice().buffer)).toEqual(weights);
    expect(first.end.closed).toBeNull();

    const late = watch();
    await settle();
    expect(types(late)).toEqual(['run', 'progress', 'finished']);
    await late.send({ type: 'snapshot' });
    await tick();
    expect(late.received.at(-1)).toMatchObject({ message: { type: 'weights', step: 1 } });
    // An observer takes half a minute of silence for a lost connection.
    const answerPing = async (): Promise<void> => {
      const { message } = first.received.at(-1)!;
      if (message.type === 'ping') await first.send({ type: 'pong', id: message.id });
    };
    for (let i = 0; i < 120; i++) {
      await tick();
      await answerPing();
    }
    const pings = types(first).slice(types(first).indexOf('finished') + 1);
    expect(new Set(pings)).toEqual(new Set(['ping']));
    expect(pings.length).toBeGreaterThanOrEqual(5);
    feed.close('The program ends.');
    await settle();
    expect(types(first).filter((type) => type === 'finished')).toHaveLength(1);
    expect(first.end.closed?.code).toBe(1000);
    expect(clock.pending).toBeLessThanOrEqual(1);
  });

  it('sends addresses of the page to observers on this machine only', () => {
    const { pool, clock } = testPool();
    const feed = new Feed({ job: exampleJob, clock, pool, addresses: () => ['http://192.168.1.5:2718/'] });
    const runMessageFor = (isSameMachine: boolean) => {
      const sent: Uint8Array[] = [];
      feed.watch({
        send: (frame) => sent.push(frame),
        close: () => undefined,
        terminate: () => undefined,
        bufferedBytes: 0,
        isSameMachine,
      });
      return parseFromCoordinator(sent[0]!).message;
    };
    expect(runMessageFor(true)).toMatchObject({ addresses: ['http://192.168.1.5:2718/'] });
    expect(runMessageFor(false)).not.toHaveProperty('addresses');
  });

  it('sends the reason at the end, and leaves no timer', async () => {
    const { watch, feed, pool, clock } = await testFeed();
    const { received, end } = watch();
    feed.close('The run is finished.');
    pool.close('The run is finished.');
    await settle();
    expect(received.at(-1)!.message).toEqual({ type: 'finished', reason: 'The run is finished.' });
    expect(end.closed?.code).toBe(1000);
    expect(clock.pending).toBe(0);
  });
});
