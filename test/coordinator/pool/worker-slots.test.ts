import { describe, expect, it } from 'vitest';
import { slotToFree, type WorkerSlot } from '../../../coordinator/pool/admission.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testPool } from './pool-harness.ts';

const place = (networkBlock: string, sinceMs: number, ready: boolean, hasComputed = false): WorkerSlot => ({
  networkBlock,
  sinceMs,
  ready,
  hasComputed,
});

describe('when all places are taken', () => {
  it('the worker leaves that has been getting ready for longest, in the network that holds the most', () => {
    const places = [
      place('a', 0, true, true),
      place('a', 1_000, false),
      place('b', 0, false),
      place('a', 2_000, false),
    ];
    expect(slotToFree(places, 'c', 20_000)).toBe(places[1]);
    expect(slotToFree(places, 'c', 15_500)).toBe(places[2]);
    expect(slotToFree(places, 'c', 15_000)).toBeNull();
  });

  it('else one that never computed, of a network that holds more places than the newcomer has', () => {
    const places = [place('a', 0, true, true), place('a', 1_000, true), place('a', 2_000, true)];
    expect(slotToFree(places, 'b', 61_500)).toBe(places[1]);
    expect(slotToFree(places, 'b', 60_500)).toBeNull();
    expect(slotToFree(places, 'a', 90_000)).toBeNull();
    expect(slotToFree([places[0]!], 'b', 90_000)).toBeNull();
  });
});

describe('a worker that is never ready', () => {
  it('loses its place to one that comes, however often it answers pings', async () => {
    const { pool, clock, connect, join, events } = testPool({ rules: { maxWorkers: 3 } });
    await join('ann');
    const holding = [connect(), connect()];
    for (const client of holding) await client.hello({ name: 'hold' });
    await clock.advance(10_000);
    const early = connect();
    await early.hello({ name: 'bob' });
    expect(early.closed?.code).toBe(CloseCode.noFreeSlot);
    await clock.advance(10_000);
    await join('bob');
    expect([...pool.workers.values()].map(({ name }) => name)).toEqual(['ann', 'bob']);
    expect(holding.map(({ closed }) => closed?.code)).toEqual([CloseCode.noFreeSlot, undefined]);
    expect(events.at(-2)).toMatch(/^refused: hold left before it was ready: Another worker needs this slot/);
  });

  it('is dropped after a minute', async () => {
    const { clock, connect } = testPool();
    const client = connect();
    await client.hello();
    for (let i = 0; i < 13; i++) {
      await clock.advance(5_000);
      const ping = client.messages('ping').at(-1);
      if (client.closed === null && ping !== undefined) await client.say({ type: 'pong', id: ping.id });
      if (i === 10) expect(client.closed).toBeNull();
    }
    expect(client.closed).toEqual({ code: CloseCode.timeout, reason: 'Not ready within 60 s.' });
  });
});

it('only a worker that was given a shard may send large messages', async () => {
  const { pool, connect } = testPool({ maxFrameBytes: 1 << 20 });
  const owners: { readonly maxMessageBytes?: number }[] = [];
  const real = pool.connect.bind(pool);
  pool.connect = (connection) => {
    const owner = real(connection);
    owners.push(owner);
    return owner;
  };
  const client = connect();
  await client.hello();
  await client.say({ type: 'ready' });
  expect(owners[0]?.maxMessageBytes).toBe(64 << 10);
  const [member] = pool.workers.values();
  member?.outstanding.add(1 as never, null);
  expect(owners[0]?.maxMessageBytes).toBe(1 << 20);
  await client.say({ type: 'failed', step: 0 as never, shard: 1 as never, reason: 'no memory' });
  expect(owners[0]?.maxMessageBytes).toBe(64 << 10);
  client.end.send(new Uint8Array(65 << 10));
  await expect.poll(() => client.closed?.code).toBe(CloseCode.tooLarge);
});
