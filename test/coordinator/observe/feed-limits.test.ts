import { describe, expect, it } from 'vitest';
import { Feed } from '../../../coordinator/observe/feed.ts';
import type { ConnectionHandler } from '../../../coordinator/server/websocket.ts';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import { LinkMeter } from '../../../coordinator/links/meter.ts';
import type { ProgressMessage, WorkerId } from '../../../shared/protocol/messages.ts';
import { parseFromCoordinator } from '../../../shared/protocol/frame.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { exampleJob, shardId, step } from '../../shared/protocol/examples.ts';
import { manualClock, settle } from '../../support/manual-clock.ts';
import { testPool } from '../pool/pool-harness.ts';
import { deafConnection, testFeed } from './feed-harness.ts';

describe('limits of observers', () => {
  it('skips observers with too many unsent bytes until these are sent', async () => {
    const { feed, tick } = await testFeed();
    let frames = 0;
    const connection = { ...deafConnection, bufferedBytes: 2 << 20, send: () => void frames++ };
    feed.watch(connection);
    await tick();
    expect(frames).toBe(1);
    connection.bufferedBytes = 0;
    await tick();
    expect(frames).toBe(2);
  });

  it('sends the rows of a thousand workers and of the slowest one, and the number of all', async () => {
    const { pool, clock } = await testFeed();
    const ann = [...pool.workers.values()][0]!;
    const meter = new LinkMeter();
    for (let i = 0; i < 2; i++) meter.recordAnswer({ samples: 1, computeMs: 1, turnaroundMs: 9 });
    const many = Array.from({ length: 1_500 }, (_, i): Worker => {
      const link = i === 1_400 ? { ...ann.link, meter } : ann.link;
      return { ...ann, id: `worker ${i}` as WorkerId, link };
    });
    const workers = new Map(many.map((worker) => [worker.id, worker]));
    const feed = new Feed({ job: exampleJob, clock, pool: { workers } });
    const frames: Uint8Array[] = [];
    feed.watch({ ...deafConnection, send: (frame: Uint8Array) => void frames.push(frame) });
    await clock.advance(500);
    const { message } = parseFromCoordinator(frames.at(-1)!);
    expect(message).toMatchObject({ workerCount: 1_500, slowest: { id: 'worker 1400' } });
    const rows = (message.type === 'progress' ? message.workers : null) ?? [];
    expect([rows.length, rows.at(-1)!.id]).toEqual([1_001, 'worker 1400']);
    feed.close('done');
  });

  it('sends the timeline of a step with the 64 answers that came last, and the number of the others', async () => {
    const { pool, clock } = await testFeed();
    const ann = [...pool.workers.values()][0]!;
    const many = Array.from({ length: 100 }, (_, i): Worker => {
      const meter = new LinkMeter();
      meter.recordAssignment({ step: step(6), shard: shardId(i), samples: 1, assignedMs: clock.now() });
      if (i > 0) meter.recordEnd(shardId(i), clock.now() + i, 1);
      return { ...ann, id: `worker ${i}` as WorkerId, link: { ...ann.link, meter } };
    });
    const feed = new Feed({
      job: exampleJob,
      clock,
      pool: { workers: new Map(many.map((worker) => [worker.id, worker])) },
    });
    const frames: Uint8Array[] = [];
    feed.watch({ ...deafConnection, send: (frame: Uint8Array) => void frames.push(frame) });
    clock.skip(200);
    feed.stepFinished({
      epoch: 4,
      step: 1,
      steps: 2,
      loss: 1,
      metrics: {},
      samplesPerSecond: 1,
      workers: 100,
      batch: { samples: 100, lossSum: 1, metrics: [1] },
      dataWaitMs: 0,
      weights: { step: step(7), source: { averagedWeights: new Float32Array(6) } },
    });
    await clock.advance(500);
    const { message } = parseFromCoordinator(frames.at(-1)!);
    const { timeline } = message as ProgressMessage;
    expect(timeline).toMatchObject({ step: 7, durationMs: 200, omitted: 36 });
    // The shard without an answer comes first.
    expect(timeline!.shards.map(({ endMs }) => endMs)).toEqual([
      null,
      ...Array.from({ length: 63 }, (_, i) => 99 - i),
    ]);
    feed.close('done');
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
        ...deafConnection,
        addressBlock,
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
      feed.watch({ ...deafConnection, addressBlock });
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
});
