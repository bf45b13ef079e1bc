import { describe, expect, it } from 'vitest';
import { slotToFree, type WorkerSlot } from '../../../coordinator/pool/admission.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testPool } from './pool-harness.ts';

const slot = (networkBlock: string, sinceMs: number, ready: boolean, hasComputed = false): WorkerSlot => ({
  networkBlock,
  sinceMs,
  ready,
  hasComputed,
});

describe('slotToFree', () => {
  it('selects the worker that has been preparing for the longest time, in the network with the most slots', () => {
    const slots = [
      slot('a', 0, true, true),
      slot('a', 1_000, false),
      slot('b', 0, false),
      slot('a', 2_000, false),
    ];
    expect(slotToFree(slots, 'c', 20_000)).toBe(slots[1]);
    expect(slotToFree(slots, 'c', 15_500)).toBe(slots[2]);
    expect(slotToFree(slots, 'c', 15_000)).toBeNull();
  });

  it("else selects a worker that never computed, in a network with more slots than the new worker's", () => {
    const slots = [slot('a', 0, true, true), slot('a', 1_000, true), slot('a', 2_000, true)];
    expect(slotToFree(slots, 'b', 61_500)).toBe(slots[1]);
    expect(slotToFree(slots, 'b', 60_500)).toBeNull();
    expect(slotToFree(slots, 'a', 90_000)).toBeNull();
    expect(slotToFree([slots[0]!], 'b', 90_000)).toBeNull();
  });
});

describe('a worker that is never ready', () => {
  it('loses its slot to a new worker although it answers pings', async () => {
    const { pool, clock, connect, join, events } = testPool({ rules: { maxWorkers: 3 } });
    await join('ann');
    const preparing = [connect(), connect()];
    for (const client of preparing) await client.hello({ name: 'hold' });
    await clock.advance(10_000);
    const early = connect();
    await early.hello({ name: 'bob' });
    expect(early.closed?.code).toBe(CloseCode.noFreeSlot);
    await clock.advance(10_000);
    await join('bob');
    expect([...pool.workers.values()].map(({ name }) => name)).toEqual(['ann', 'bob']);
    expect(preparing.map(({ closed }) => closed?.code)).toEqual([CloseCode.noFreeSlot, undefined]);
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

it('only a worker with an outstanding shard may send large messages', async () => {
  const { pool, connect } = testPool({ maxFrameBytes: 1 << 20 });
  const handlers: { readonly maxMessageBytes?: number }[] = [];
  const connectToPool = pool.connect.bind(pool);
  pool.connect = (connection, onAccepted) =>
    connectToPool(connection, (handler) => {
      handlers.push(handler);
      onAccepted(handler);
    });
  const client = connect();
  await client.hello();
  await client.say({ type: 'ready' });
  expect(handlers[0]?.maxMessageBytes).toBe(64 << 10);
  const [worker] = pool.workers.values();
  worker?.outstanding.add(1 as never, null);
  expect(handlers[0]?.maxMessageBytes).toBe(1 << 20);
  await client.say({ type: 'failed', step: 0 as never, shard: 1 as never, reason: 'no memory' });
  expect(handlers[0]?.maxMessageBytes).toBe(64 << 10);
  client.end.send(new Uint8Array(65 << 10));
  await expect.poll(() => client.closed?.code).toBe(CloseCode.tooLarge);
});
