import { describe, expect, it } from 'vitest';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { frameFromWorker } from '../../../shared/protocol/parse.ts';
import { exampleHello } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testRunner } from '../training/step-harness.ts';
import { testPool } from './pool-harness.ts';

/** Instances of two processes. */
const ANN = 'mNqYhBk3Zx0PtVcR7sWd1';
const BOB = 'Jf2LgTe8uQa5oXi9nHy4K';

describe('a worker that comes back before its old connection is noticed dead', () => {
  it('takes its own place: the old connection is closed first', async () => {
    const { join, pool, events } = testPool({ rules: { maxWorkers: 1 } });
    const old = await join('ann', { instance: ANN });
    const again = await join('ann', { instance: ANN });
    expect(old.closed).toEqual({
      code: CloseCode.timeout,
      reason: 'The worker has reconnected.',
    });
    expect([again.closed, pool.workers.size]).toEqual([null, 1]);
    expect(events).toEqual(['joined ann', 'left ann: The worker has reconnected.', 'joined ann']);
  });

  it('has its shard given out again at once', async () => {
    const { join, gradient } = testRunner();
    const [, bob] = [await join('ann', { instance: ANN }), await join('bob', { instance: BOB })];
    const round = await gradient();
    await bob.answer();
    const again = await join('ann', { instance: ANN });
    for (const client of [bob, again]) if (client.messages('shard').length > 0) await client.answer();
    if (round.result === null) await again.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });

  it('is another one without that name, or with another', async () => {
    const { join, pool } = testPool();
    for (const hello of [{}, {}, { instance: ANN }, { instance: BOB }]) await join('ann', hello);
    expect(pool.workers.size).toBe(4);
  });

  it('is another one if what it is known by could be guessed', async () => {
    const { join, pool } = testPool();
    for (let i = 0; i < 2; i++) await join('ann', { instance: 'short enough' });
    expect(pool.workers.size).toBe(2);
  });

  it('is known by a digest: what would take its place is not kept', async () => {
    const { join, pool } = testPool();
    await join('ann', { instance: ANN });
    const [{ instance } = { instance: null }] = pool.workers.values();
    expect(instance).toMatch(/^[\w+/]{43}=$/);
    expect(instance).not.toContain(ANN);
  });
});

describe('workers that come all at once', () => {
  it('are let in at a bounded rate, and told to come back', async () => {
    const { connect, clock, pool } = testPool({ rules: { maxWorkers: 1_000 } });
    const clients = Array.from({ length: 300 }, connect);
    for (const client of clients) client.end.send(frameFromWorker(exampleHello));
    await settle();
    expect(clients.filter(({ closed }) => closed === null)).toHaveLength(250);
    expect(clients.at(-1)!.closed).toEqual({
      code: CloseCode.noFreeSlot,
      reason: 'Too many workers join at the same time. Retry in a few seconds.',
    });
    await clock.advance(1_000);
    const later = Array.from({ length: 60 }, connect);
    for (const client of later) client.end.send(frameFromWorker(exampleHello));
    await settle();
    expect(later.filter(({ closed }) => closed === null)).toHaveLength(50);
    pool.close('done');
  });
});

describe('a worker that does not read what it is sent', () => {
  /** A member whose connection holds back so many bytes. */
  function slowReader() {
    const made = testRunner();
    const held = { bytes: 0, sent: 0, closed: null as string | null };
    const owner = made.pool.connect({
      send: (frame) => void (held.sent += frame.length),
      close: (_, reason) => {
        held.closed = reason;
      },
      terminate: () => undefined,
      get bufferedBytes() {
        return held.bytes;
      },
    });
    const say = (message: Parameters<typeof frameFromWorker>[0]) => owner.onFrame(frameFromWorker(message));
    say({ ...exampleHello, name: 'slow' });
    say({ type: 'ready' });
    return { ...made, held, say };
  }

  it('is given nothing while there is anybody else', async () => {
    const { held, join, gradient } = slowReader();
    const ann = await join('ann');
    held.bytes = 2 << 20;
    const sent = held.sent;
    const round = await gradient(1);
    expect(held.sent).toBe(sent);
    await ann.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
    held.bytes = 0;
    await gradient(2);
    expect(held.sent).toBeGreaterThan(sent);
  });

  it('has to go when that lasts as long as a silence may, although it is heard', async () => {
    const { held, clock, say } = slowReader();
    held.bytes = 2 << 20;
    for (let s = 0; s < 60; s += 5) {
      await clock.advance(5_000);
      say({ type: 'pong', id: 1_000 });
    }
    expect(held.closed).toBeNull();
    await clock.advance(10_000);
    expect(held.closed).toBe('The worker does not read its messages.');
  });
});

it('a hundred good answers make up for a bad one', async () => {
  const { pool, join } = testPool();
  const client = await join('ann');
  const member = [...pool.workers.values()][0]!;
  const reject = (): void =>
    pool.reject(member, { step: step(4), shard: shardId(7) }, new ProtocolError(CloseCode.notFinite, 'NaN.'));
  for (let turn = 0; turn < 10; turn++) {
    reject();
    for (let good = 0; good < 100; good++) pool.recordAccepted(member);
  }
  await settle();
  expect([client.closed, member.health.strikes]).toEqual([null, 0]);
  for (let bad = 0; bad < 3; bad++) reject();
  await settle();
  expect(client.closed?.code).toBe(CloseCode.notFinite);
});
