import { describe, expect, it } from 'vitest';
import { FLOAT32_LINK } from '../../../coordinator/links/codecs.ts';
import { Feed } from '../../../coordinator/observe/feed.ts';
import { createWorker } from '../../../coordinator/pool/worker.ts';
import type { ShownRun } from '../../../coordinator/observe/run-details.ts';
import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import type { FromCoordinator } from '../../../shared/protocol/messages.ts';
import { frameFromWorker, parseFromCoordinator, type Received } from '../../../shared/protocol/frame.ts';
import { exampleEpoch, exampleHello, exampleJob, step } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { linkedPair } from '../../support/linked-connection.ts';
import { testPool } from '../pool/pool-harness.ts';
import { deafConnection, testFeed } from './feed-harness.ts';

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
    feed.epochFinished(exampleEpoch);
    feed.epochStarted(2);
    const { received } = watch();
    await settle();
    expect(received.map(({ message }) => message)).toMatchObject([
      {
        type: 'run',
        protocol: 2,
        job: exampleJob,
        steps: 2,
        curve: [{ step: 1, steps: 1, loss: 2, metrics: { accuracy: 0.75 } }],
        epochs: [exampleEpoch],
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
        metrics: { accuracy: 0.75 },
        samplesPerSecond: 40,
        curve: [{ step: 3, loss: 1 }],
        workers: [{ name: 'ann', backend: 'wasm', samples: 0, rttMs: null }],
        slowest: null,
      },
    ]);
    await tick();
    expect(received.at(-1)!.message).toMatchObject({ type: 'progress', curve: [] });
    feed.epochFinished({ ...exampleEpoch, epoch: 2 });
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
    const [first, second] = message.type === 'progress' ? (message.workers ?? []) : [];
    expect(first!.samplesPerSecond).toBeCloseTo(3 * second!.samplesPerSecond);
    // Two samples in half a second, the time between two messages.
    expect(second!.samplesPerSecond).toBe(4);
  });

  it('sends the rows of many workers less often, and to a new observer at once', async () => {
    const workers = new Map(
      Array.from({ length: 600 }, (_, i) => {
        const worker = createWorker({ ...exampleHello, machine: `node${i}` }, deafConnection, {
          name: `ann ${i}`,
          nowMs: 0,
          codecs: FLOAT32_LINK,
          switchableCodecs: [],
          bucketOffsets: [0],
          onSent: () => undefined,
        });
        return [worker.id, worker];
      }),
    );
    const { watch, tick, feed } = await testFeed({ workers });
    const rows = ({ received }: ReturnType<typeof watch>): number[] =>
      received.flatMap(({ message }) => (message.type === 'progress' ? [message.workers?.length ?? 0] : []));
    const first = watch();
    for (let i = 0; i < 7; i++) await tick();
    expect(rows(first)).toEqual([600, 0, 0, 600, 0, 0, 600]);
    const second = watch();
    await tick();
    expect(rows(second)).toEqual([600]);
    feed.finish('The run is finished.');
    await settle();
    expect(rows(second)).toEqual([600, 600]);
  });

  it('tells the machine of a worker that names it', async () => {
    const { join, watch, tick } = await testFeed();
    await join('bob', { machine: 'lab' });
    const { received } = watch();
    await tick();
    const { message } = received.at(-1)!;
    const [ann, bob] = message.type === 'progress' ? (message.workers ?? []) : [];
    expect(ann).not.toHaveProperty('machine');
    expect(bob).toMatchObject({ machine: 'lab' });
    // Nothing more about a worker is for the public: no address, network or instance.
    expect(Object.keys(bob ?? {}).sort()).toEqual([
      ...[
        'backend',
        'bytesDown',
        'bytesUp',
        'codecs',
        'computeMs',
        'device',
        'id',
        'machine',
        'name',
        'rttMs',
      ],
      ...['samples', 'samplesPerSecond', 'share', 'standby', 'turnaroundMs'],
    ]);
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
    const averagedWeights = Float32Array.of(1, 2, 3, 4, 5, 6);
    feed.stepFinished({
      epoch: 1,
      step: 2,
      steps: 2,
      loss: 0.5,
      metrics: { accuracy: 0.75 },
      samplesPerSecond: 40,
      workers: 1,
      batch: { samples: 4, lossSum: 1, metrics: [3] },
      dataWaitMs: 0,
      weights: { step: step(2), source: { averagedWeights } },
    });
    const observer = watch();
    await observer.send({ type: 'snapshot' });
    await tick();
    const { message, payload } = observer.received.at(-1)!;
    expect(message).toEqual({ type: 'weights', step: 2, offset: 0 });
    expect([...new Float32Array(payload.slice().buffer)]).toEqual([...averagedWeights]);
  });

  it('begins with the epochs before a run was resumed', async () => {
    const { pool, clock } = testPool();
    const feed = new Feed({ job: exampleJob, clock, pool, epochs: [exampleEpoch] });
    const sent: Uint8Array[] = [];
    feed.watch({ ...deafConnection, send: (frame) => sent.push(frame) });
    await settle();
    expect(parseFromCoordinator(sent[0]!).message).toMatchObject({ type: 'run', epochs: [exampleEpoch] });
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
      feed.watch({ ...deafConnection, send: (frame) => sent.push(frame), isSameMachine });
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

describe('details of a run', () => {
  const labels = Uint8Array.from({ length: 1_000 }, (_, i) => i % 2);
  const shownData = {
    classNames: ['no', 'yes'],
    test: { count: 1_000, inputs: [new Uint8Array(2_000)], targets: [labels] },
  };

  /** The answer to a request, and the code that a second request is closed with. */
  async function ask(shown: ShownRun) {
    const { clock, pool } = testPool();
    const feed = new Feed({ job: exampleJob, clock, pool, ...shown });
    const received: Received<FromCoordinator>[] = [];
    const { left, right } = linkedPair((side) =>
      side === 'left'
        ? { onFrame: (frame) => received.push(parseFromCoordinator(frame)), onClose: () => undefined }
        : handler,
    );
    const handler: ConnectionHandler = feed.watch(right);
    for (let i = 0; i < 2; i++) {
      left.send(frameFromWorker({ type: 'inspect' }));
      await settle();
    }
    feed.close('done');
    return { answers: received.filter(({ message }) => message.type === 'details'), closed: left.closed };
  }

  it('are names and test samples from all parts of the data, and are sent once', async () => {
    const { answers, closed } = await ask({ weightNames: ['a', 'b'], shownData });
    expect(answers).toHaveLength(1);
    const { message, payload } = answers[0]!;
    expect(message).toEqual({
      type: 'details',
      samples: 128,
      weightNames: ['a', 'b'],
      classNames: ['no', 'yes'],
    });
    const { sampleNumbers, targets } = viewShard(payload, 128, exampleJob);
    expect([sampleNumbers[0], sampleNumbers[127]]).toEqual([0, 992]);
    expect([...targets[0]!]).toEqual([...sampleNumbers].map((number) => number % 2));
    expect(closed).toMatchObject({ code: 4430 });
  });

  it('have no samples where there are none, or where they cannot be read or are too large', async () => {
    const empty = { message: { type: 'details', samples: 0 }, payload: new Uint8Array() };
    expect((await ask({})).answers).toEqual([empty]);
    const broken = { count: 9, digest: '', read: () => Promise.reject(new Error('The disk is gone.')) };
    expect((await ask({ shownData: { test: broken } })).answers).toEqual([empty]);
    const names = { weightNames: Array.from({ length: 5_000 }, () => 'x') };
    expect((await ask(names)).answers).toEqual([empty]);
  });
});
