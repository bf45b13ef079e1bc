import { describe, expect, it } from 'vitest';
import { Feed } from '../../../coordinator/observe/feed.ts';
import type { ConnectionHandler } from '../../../coordinator/pool/handshake.ts';
import type { FromCoordinator, FromWorker } from '../../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator, type Received } from '../../../shared/protocol/parse.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { exampleJob, step } from '../../shared/protocol/examples.ts';
import { linkedPair, type LinkedEnd } from '../../support/linked-connection.ts';
import { manualClock, settle } from '../../support/manual-clock.ts';
import { testPool } from '../pool/pool-harness.ts';

/** A feed of a pool with a worker in it, at the middle of its second step of four. */
async function testFeed() {
  const made = testPool();
  const feed = new Feed({ job: exampleJob, clock: made.clock, pool: made.pool });
  const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
  const stepDone = (epoch: number, at: number, lossSum: number, samples = 4): void => {
    made.clock.skip(100);
    feed.stepFinished({
      epoch,
      step: at,
      steps: 2,
      loss: 0.5,
      accuracy: 0.75,
      samplesPerSecond: 40,
      workers: 1,
      batch: { samples, lossSum, correct: Math.min(3, samples) },
      weights: { step: step((epoch - 1) * 2 + at), source: { committedWeights: weights } },
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
        : owner,
    );
    const owner: ConnectionHandler = feed.watch(right);
    const end: LinkedEnd = left;
    const say = (message: FromWorker): Promise<void> => {
      end.send(frameFromWorker(message));
      return settle();
    };
    return { received, end, say };
  };
  const tick = async (): Promise<void> => {
    await made.clock.advance(500);
    await settle();
  };
  await made.join('ann');
  feed.epochStarted(1);
  stepDone(1, 1, 8);
  return { ...made, feed, weights, stepDone, watch, tick };
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
  it('tells nobody anew what came when an earlier observer was just leaving', async () => {
    const { watch, tick, stepDone } = await testFeed();
    const first = watch();
    stepDone(1, 2, 8);
    first.end.close(1000, 'bye');
    await tick();
    const second = watch();
    await tick();
    const [run, progress] = second.received.map(({ message }) => message);
    expect(run).toMatchObject({ type: 'run', curve: [{ step: 1 }, { step: 2 }] });
    expect(progress).toMatchObject({ type: 'progress', curve: [] });
  });

  it('tells an observer first what has been, and then twice a second what is', async () => {
    const { watch, tick, stepDone, feed } = await testFeed();
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
    stepDone(2, 1, 4);
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

  it('says how workers do, and which of them a step waits for, and why', async () => {
    const { pool, join, watch, tick, stepDone } = await testFeed();
    await join('bob');
    const [ann, bob] = [...pool.workers.values()];
    const { received } = watch();
    await tick();
    for (let i = 0; i < 2; i++) {
      ann!.stats.record('train', 3);
      bob!.stats.record('train', 1);
      ann!.link.meter.recordAnswer({ samples: 3, computeMs: 90, turnaroundMs: 100 });
      bob!.link.meter.recordAnswer({ samples: 1, computeMs: 10, turnaroundMs: 300 });
      stepDone(1, 1, 8);
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
    // Within half a second, the time from one message to the next.
    expect(second!.samplesPerSecond).toBe(4);
  });

  it('keeps figures of training apart from an evaluation, whose shards are larger', async () => {
    const { pool, watch, tick, stepDone } = await testFeed();
    const [ann] = pool.workers.values();
    const { received } = watch();
    await tick();
    // The last batch of an epoch is short: all of it is still all of it.
    for (const samples of [4, 2]) {
      ann!.stats.record('train', samples);
      ann!.link.meter.recordAnswer({ samples, computeMs: 90, turnaroundMs: 100 });
      stepDone(1, 2, 8, samples);
    }
    ann!.stats.record('evaluate', 1_000);
    await tick();
    expect(received.at(-1)!.message).toMatchObject({
      workers: [{ share: 1, samples: 1_006, computeMs: 90, turnaroundMs: 100 }],
    });
  });

  it('sends weights to observers that ask, once for each time, and not more often than every two seconds', async () => {
    const { watch, tick, weights, stepDone } = await testFeed();
    const observer = watch();
    const sent = () => observer.received.filter(({ message }) => message.type === 'weights');
    await tick();
    expect(sent()).toHaveLength(0);
    await observer.say({ type: 'snapshot' });
    await tick();
    expect(sent()).toMatchObject([{ message: { step: 1 } }]);
    expect(new Float32Array(sent()[0]!.payload.slice().buffer)).toEqual(weights);
    await observer.say({ type: 'snapshot' });
    stepDone(1, 2, 8);
    await tick();
    expect(sent()).toHaveLength(1);
    for (let i = 0; i < 8; i++) await tick();
    expect(sent()).toMatchObject([{}, { message: { step: 2 } }]);
  });

  it('tells each point of the curve once, whenever an observer comes', async () => {
    const { watch, tick, stepDone } = await testFeed();
    const [first] = [watch()];
    stepDone(1, 2, 4);
    const second = watch();
    stepDone(2, 1, 2);
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
    await observer.say({ type: 'snapshot' });
    await tick();
    const { message, payload } = observer.received.at(-1)!;
    expect(message).toEqual({ type: 'weights', step: 2, offset: 0 });
    expect([...new Float32Array(payload.slice().buffer)]).toEqual([...committedWeights]);
  });

  it('begins with the epochs that were done before the run was gone on with', async () => {
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

  it('leaves out who cannot keep up, until they can', async () => {
    const { feed, tick } = await testFeed();
    let [frames, bufferedBytes] = [0, 2 << 20];
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

  it('closes observers that do not read: a ping has a number that only a reader knows', async () => {
    const { clock, feed, watch } = await testFeed();
    const reading = watch();
    const guessing = watch();
    const silent = watch();
    const pings = (): number[] =>
      reading.received.flatMap(({ message }) => (message.type === 'ping' ? [message.id] : []));
    for (let i = 0; i < 200; i++) {
      await clock.advance(500);
      const id = pings().at(-1);
      if (id !== undefined) await reading.say({ type: 'pong', id });
      await guessing.say({ type: 'pong', id: i });
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

  it('has so many places for observers; a network that holds more of them makes way for another', () => {
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
    expect(() => watch('a')).toThrow('All 3 places for observers are taken.');
    watch('b');
    expect(closed).toEqual([`a ${CloseCode.noFreeSlot}`]);
    expect(() => watch('b')).toThrow('All 3 places');
    feed.close('done');
  });

  it('takes so many observers of one network at once, and others all the same', () => {
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
    const leave = (): void => watch('a').onClose(1000, '');
    for (let i = 0; i < 200; i++) leave();
    expect(leave).toThrow('Too many observers come at once');
    watch('b');
    feed.close('done');
  });

  it('hears nothing from observers but their wishes', async () => {
    const { watch, feed } = await testFeed();
    const rude = watch();
    await rude.say({ type: 'ready' });
    expect(rude.end.closed?.code).toBe(4409);
    expect(feed.observerCount).toBe(0);
    const loud = watch();
    loud.end.send(new Uint8Array((64 << 10) + 1));
    await settle();
    expect(loud.end.closed?.code).toBe(4413);
  });

  it('stays after the run has finished: tells latecomers how it ended, and gives the last weights', async () => {
    const { watch, feed, tick, weights, clock } = await testFeed();
    const [first, greedy] = [watch(), watch()];
    await greedy.say({ type: 'snapshot', atEnd: true });
    await tick();
    expect(greedy.received.filter(({ message }) => message.type === 'weights')).toEqual([]);
    feed.finish('The run is finished.');
    await settle();
    const types = ({ received }: typeof first) => received.map(({ message }) => message.type);
    expect(types(first).slice(-2)).toEqual(['progress', 'finished']);
    expect(types(greedy).slice(-3)).toEqual(['progress', 'finished', 'weights']);
    expect(new Float32Array(greedy.received.at(-1)!.payload.slice().buffer)).toEqual(weights);
    expect(first.end.closed).toBeNull();

    const late = watch();
    await settle();
    expect(types(late)).toEqual(['run', 'progress', 'finished']);
    await late.say({ type: 'snapshot' });
    await tick();
    expect(late.received.at(-1)).toMatchObject({ message: { type: 'weights', step: 1 } });
    // An observer takes half a minute of silence for an end.
    const answerPing = async (): Promise<void> => {
      const { message } = first.received.at(-1)!;
      if (message.type === 'ping') await first.say({ type: 'pong', id: message.id });
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

  it('tells observers on this machine, and no others, where other devices find the page', () => {
    const { pool, clock } = testPool();
    const feed = new Feed({ job: exampleJob, clock, pool, addresses: () => ['http://192.168.1.5:2718/'] });
    const told = (isSameMachine: boolean) => {
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
    expect(told(true)).toMatchObject({ addresses: ['http://192.168.1.5:2718/'] });
    expect(told(false)).not.toHaveProperty('addresses');
  });

  it('says goodbye, and leaves no timer', async () => {
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
