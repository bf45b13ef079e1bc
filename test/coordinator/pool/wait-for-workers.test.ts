import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { waitForWorkers } from '../../../coordinator/pool/wait-for-workers.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool } from './pool-harness.ts';

function waiting(count: number, patienceMs: number | null = 60_000) {
  const made = testPool();
  const timersBefore = made.clock.pending;
  const stop = new AbortController();
  let done = false;
  const wait = waitForWorkers(made.pool, count, patienceMs, made.clock, stop.signal).then(
    () => (done = true),
  );
  return {
    ...made,
    stop,
    wait,
    isDone: () => done,
    left: () => [made.clock.pending - timersBefore, getEventListeners(stop.signal, 'abort').length],
  };
}

describe('waitForWorkers', () => {
  it('waits for as many as are wanted, and leaves nothing behind', async () => {
    const { join, isDone, left } = waiting(2);
    await join('ann');
    expect(isDone()).toBe(false);
    await join('bob');
    expect(isDone()).toBe(true);
    expect(left()).toEqual([0, 0]);
  });

  it('is content with any one after its patience', async () => {
    const { join, clock, isDone } = waiting(3);
    const client = await join('ann');
    await clock.advance(30_000);
    await client.say({ type: 'pong', id: 1 });
    await clock.advance(29_999);
    expect(isDone()).toBe(false);
    await clock.advance(1);
    expect(isDone()).toBe(true);
  });

  it('waits on after its patience if nobody is there, for the first who comes', async () => {
    const { join, clock, isDone } = waiting(3);
    await clock.advance(600_000);
    expect(isDone()).toBe(false);
    await join('ann');
    expect(isDone()).toBe(true);
  });

  it('never is content with less if it is told so', async () => {
    const { join, clock, isDone, left } = waiting(2, null);
    const client = await join('ann');
    for (let s = 0; s < 600; s += 10) {
      await clock.advance(10_000);
      await client.say({ type: 'pong', id: s });
    }
    expect(isDone()).toBe(false);
    await join('bob');
    expect(isDone()).toBe(true);
    expect(left()).toEqual([0, 0]);
  });

  it('ends when the person wants to stop', async () => {
    const { stop, isDone, left } = waiting(2);
    stop.abort();
    await settle();
    expect(isDone()).toBe(true);
    expect(left()).toEqual([0, 0]);
  });

  it('does not wait for nobody', async () => {
    const { wait, left } = waiting(0);
    await wait;
    expect(left()).toEqual([0, 0]);
  });
});
