import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { waitForWorkers } from '../../../coordinator/pool/wait-for-workers.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool } from './pool-harness.ts';

function waiting(count: number, timeoutMs: number | null = 60_000) {
  const made = testPool();
  const timersBefore = made.clock.pending;
  const stop = new AbortController();
  let done = false;
  const joined: number[] = [];
  const onJoined = (workers: number): void => void joined.push(workers);
  const wait = waitForWorkers(made.pool, count, timeoutMs, made.clock, stop.signal, onJoined).then(
    () => (done = true),
  );
  return {
    ...made,
    stop,
    wait,
    joined,
    isDone: () => done,
    leftovers: () => [made.clock.pending - timersBefore, getEventListeners(stop.signal, 'abort').length],
  };
}

describe('waitForWorkers', () => {
  it('waits for the requested number of workers, and leaves no timer or listener', async () => {
    const { join, joined, isDone, leftovers } = waiting(2);
    await join('ann');
    expect(isDone()).toBe(false);
    expect(joined).toEqual([1]);
    await join('bob');
    expect(isDone()).toBe(true);
    expect(joined).toEqual([1]);
    expect(leftovers()).toEqual([0, 0]);
  });

  it('accepts fewer workers after the timeout', async () => {
    const { join, clock, isDone } = waiting(3);
    const client = await join('ann');
    await clock.advance(30_000);
    await client.say({ type: 'pong', id: 1 });
    await clock.advance(29_999);
    expect(isDone()).toBe(false);
    await clock.advance(1);
    expect(isDone()).toBe(true);
  });

  it('waits for the first worker if none has joined before the timeout', async () => {
    const { join, clock, isDone } = waiting(3);
    await clock.advance(600_000);
    expect(isDone()).toBe(false);
    await join('ann');
    expect(isDone()).toBe(true);
  });

  it('never accepts fewer workers without a timeout', async () => {
    const { join, clock, isDone, leftovers } = waiting(2, null);
    const client = await join('ann');
    for (let s = 0; s < 600; s += 10) {
      await clock.advance(10_000);
      await client.say({ type: 'pong', id: s });
    }
    expect(isDone()).toBe(false);
    await join('bob');
    expect(isDone()).toBe(true);
    expect(leftovers()).toEqual([0, 0]);
  });

  it('ends when the signal is aborted', async () => {
    const { stop, isDone, leftovers } = waiting(2);
    stop.abort();
    await settle();
    expect(isDone()).toBe(true);
    expect(leftovers()).toEqual([0, 0]);
  });

  it('fails with the error that ends the run, now or before', async () => {
    const { pool, wait, leftovers, clock } = waiting(2);
    const failed = expect(wait).rejects.toThrow('The coordinator has closed.');
    const reason = new Error('The coordinator has closed.');
    pool.finish('', reason);
    await failed;
    // The pool's own heartbeat has stopped too.
    expect(leftovers()[1]).toBe(0);
    await expect(waitForWorkers(pool, 0, null, clock, new AbortController().signal)).rejects.toBe(reason);
  });

  it('does not wait for zero workers', async () => {
    const { wait, leftovers } = waiting(0);
    await wait;
    expect(leftovers()).toEqual([0, 0]);
  });
});
