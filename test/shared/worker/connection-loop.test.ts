import { describe, expect, it } from 'vitest';
import { CloseCode, FATAL_CLOSE_CODES } from '../../../shared/protocol/close-codes.ts';
import type { CoordinatorLink } from '../../../shared/protocol/coordinator-link.ts';
import { settle } from '../../support/manual-clock.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { computingWorker, lose, nothingLeft, oneSample, sixWeights } from './connection-harness.ts';
import { ScriptedCoordinator, startWorker } from './session-harness.ts';

describe('a worker that loses its connection', () => {
  it('retries immediately when onRetryNow calls back', async () => {
    const callbacks = new Set<() => void>();
    const worker = await startWorker(undefined, {
      onRetryNow(callback) {
        callbacks.add(callback);
        return () => callbacks.delete(callback);
      },
    });
    expect(callbacks.size).toBe(0);
    const { link } = worker.coordinator;
    await lose(worker);
    expect(callbacks.size).toBe(1);
    callbacks.forEach((retryNow) => retryNow());
    await settle();
    expect(worker.coordinator.link).not.toBe(link);
    expect(callbacks.size).toBe(0);
    await worker.abort();
    expect(worker.left).toEqual(nothingLeft);
  });

  it('ends with the reason of a finished run', async () => {
    const worker = await startWorker();
    await worker.coordinator.link.send(exampleWelcome);
    await worker.coordinator.link.send({ type: 'finished', reason: 'The run is finished.' });
    expect(worker.ended).toEqual({ outcome: 'returned', sentence: 'The run is finished.' });
    expect(worker.coordinator.link.end.closed?.code).toBe(CloseCode.normal);
    expect(worker.engine.disposed).toBe(1);
    expect(worker.left).toEqual(nothingLeft);
  });

  it('retries after pauses that double, and reports each pause', async () => {
    const worker = await startWorker((coordinator) => (coordinator.down = true));
    const attemptsAtMs: number[] = [];
    for (let ms = 0; ms < 12_000; ms += 50) {
      const before = worker.coordinator.links.length;
      await worker.clock.advance(50);
      if (worker.coordinator.links.length > before) attemptsAtMs.push(worker.clock.now());
    }
    expect(attemptsAtMs).toEqual([250, 750, 1750, 3750, 7750]);
    expect(worker.lines[1]).toBe(
      'No connection to ws://made:1 (connect ECONNREFUSED). Trying again in 0.5 s.',
    );
    expect(worker.ended).toBeNull();
  });

  it('adds random jitter to the pauses', async () => {
    const worker = await startWorker((coordinator) => (coordinator.down = true), { random: () => 0.5 });
    await worker.clock.advance(374);
    expect(worker.coordinator.links).toHaveLength(1);
    await worker.clock.advance(1);
    expect(worker.coordinator.links).toHaveLength(2);
  });

  it('starts with the short pause again after a shard that follows an answer, and keeps its model', async () => {
    const worker = await startWorker((coordinator) => (coordinator.down = true));
    await worker.clock.advance(3000);
    worker.coordinator.down = false;
    await worker.clock.advance(3000);
    await worker.coordinator.link.send(exampleWelcome);
    await worker.coordinator.link.send({ type: 'weights', step: step(1), offset: 0 }, sixWeights);
    for (const id of [10, 11]) {
      const shard = { type: 'shard', task: 'train', step: step(1), shard: shardId(id), samples: 1 } as const;
      await worker.coordinator.link.send(shard, oneSample);
    }
    const attempts = worker.coordinator.links.length;
    await lose(worker, 1001, 'going away');
    await worker.clock.advance(249);
    expect(worker.coordinator.links).toHaveLength(attempts);
    await worker.clock.advance(1);
    expect(worker.coordinator.links).toHaveLength(attempts + 1);
    await worker.coordinator.link.send(exampleWelcome);
    expect(worker.coordinator.types).toEqual(['hello', 'ready']);
    expect(worker.engine.loaded).toHaveLength(1);
  });

  it('waits longer and longer if each connection ends before an answer is accepted', async () => {
    const worker = await startWorker();
    const pauseAfter = async (attempts: number): Promise<number> => {
      const { link, links } = worker.coordinator;
      await link.send(exampleWelcome);
      await link.send({ type: 'weights', step: step(1), offset: 0 }, sixWeights);
      const shard = { type: 'shard', task: 'train', step: step(1), shard: shardId(10), samples: 1 } as const;
      await link.send(shard, oneSample);
      const closedAtMs = worker.clock.now();
      await lose(worker, CloseCode.checksumMismatch);
      while (links.length === attempts) await worker.clock.advance(50);
      return worker.clock.now() - closedAtMs;
    };
    const pauses: number[] = [];
    for (let attempts = 1; attempts <= 4; attempts++) pauses.push(await pauseAfter(attempts));
    expect(pauses).toEqual([250, 500, 1000, 2000]);
  });

  it('builds another model for another job and disposes the old one', async () => {
    const worker = await startWorker();
    await worker.coordinator.link.send(exampleWelcome);
    await lose(worker);
    await worker.clock.advance(1000);
    await worker.coordinator.link.send({ ...exampleWelcome, job: { ...exampleWelcome.job, seed: 2 } });
    expect([worker.engine.loaded.length, worker.engine.disposed]).toEqual([2, 1]);
  });

  it.each([...FATAL_CLOSE_CODES])('ends with the close reason after code %d', async (code) => {
    const worker = await startWorker();
    await lose(worker, code, 'Use --token with the right one.');
    expect(worker.ended).toEqual({
      outcome: 'threw',
      sentence: 'This worker cannot take part in the run at ws://made:1: Use --token with the right one.',
    });
    expect(worker.coordinator.links).toHaveLength(1);
    expect(worker.left).toEqual(nothingLeft);
  });

  it.each([CloseCode.normal, CloseCode.timeout, CloseCode.noFreeSlot, 1001, 1006, 1009])(
    'reconnects after code %d',
    async (code) => {
      const worker = await startWorker();
      await lose(worker, code);
      await worker.clock.advance(1000);
      expect(worker.ended).toBeNull();
      expect(worker.coordinator.links.length).toBeGreaterThan(1);
    },
  );

  it('does not reconnect before the engine has finished its shard', async () => {
    const { worker, finish } = await computingWorker();
    await lose(worker);
    await worker.clock.advance(20_000);
    expect(worker.coordinator.links).toHaveLength(1);
    await finish();
    await worker.clock.advance(1000);
    expect(worker.coordinator.links).toHaveLength(2);
    expect(worker.coordinator.types).toEqual(['hello']);
  });
});

describe('a worker that finds its coordinator again', () => {
  /** A worker whose coordinator is looked for after each connection, and the links that it connected to. */
  async function searching(found: (() => CoordinatorLink | null)[]) {
    const coordinator = new ScriptedCoordinator();
    const places: string[] = [];
    const attempts: number[] = [];
    const worker = await startWorker(undefined, {
      connect: (url, events) => {
        places.push(url);
        return coordinator.connect(url, events);
      },
      locate: (current: CoordinatorLink, attempt: number) => {
        attempts.push(attempt);
        return Promise.resolve((found.shift() ?? (() => current))());
      },
    });
    const hello = (): unknown => coordinator.link.received[0];
    return { worker, coordinator, places, attempts, hello };
  }
  const moved = { url: 'ws://moved:2', token: 'other' };

  it('connects to the new address, with the new token', async () => {
    const { worker, coordinator, places, attempts, hello } = await searching([() => moved]);
    coordinator.link.end.close(1006, '');
    await worker.clock.advance(1_000);
    expect(places).toEqual(['ws://made:1', 'ws://moved:2']);
    expect(attempts).toEqual([1]);
    expect(hello()).toMatchObject({ type: 'hello', token: 'other' });
    await worker.abort();
    expect(worker.left).toEqual(nothingLeft);
  });

  it('retries after a refusal only with another address or token', async () => {
    const { worker, coordinator, places } = await searching([() => moved]);
    coordinator.link.end.close(CloseCode.unauthorized, 'Wrong token.');
    await worker.clock.advance(1_000);
    expect(places).toEqual(['ws://made:1', 'ws://moved:2']);
    coordinator.link.end.close(CloseCode.unauthorized, 'Wrong token.');
    await worker.clock.advance(1_000);
    expect(worker.ended).toEqual({
      outcome: 'threw',
      sentence: 'This worker cannot take part in the run at ws://moved:2: Wrong token.',
    });
    expect(worker.left).toEqual(nothingLeft);
  });

  it('ends when the run is finished', async () => {
    const { worker, coordinator } = await searching([() => null]);
    coordinator.link.end.close(1006, '');
    await worker.clock.advance(1_000);
    expect(worker.ended).toEqual({ outcome: 'returned', sentence: 'The run is finished.' });
    expect(worker.left).toEqual(nothingLeft);
  });
});

describe('an invalid address', () => {
  it('ends the worker with an error and leaves no timers', async () => {
    const connect = (): never => {
      throw new SyntaxError('The URL contains a fragment identifier');
    };
    const worker = await startWorker(undefined, { connect });
    expect(worker.ended).toMatchObject({ outcome: 'threw' });
    expect(worker.ended?.sentence).toContain('The URL contains a fragment identifier');
    expect(worker.left).toEqual(nothingLeft);
  });
});

describe('a silent coordinator', () => {
  it('is disconnected after 30 seconds, and the worker reconnects', async () => {
    const worker = await startWorker();
    await worker.clock.advance(29_999);
    expect(worker.coordinator.links).toHaveLength(1);
    await worker.clock.advance(1);
    expect(worker.coordinator.links[0]!.end.closed?.code).toBe(1006);
    expect(worker.lines.at(-1)).toMatch(/the coordinator has gone silent/);
    await worker.clock.advance(250);
    expect(worker.coordinator.links).toHaveLength(2);
  });

  it('is disconnected at the third check after its last frame; checks are 10 seconds apart', async () => {
    const worker = await startWorker();
    await worker.clock.advance(15_000);
    await worker.coordinator.link.send({ type: 'ping', id: 1 });
    await worker.clock.advance(24_999);
    expect(worker.coordinator.link.end.closed).toBeNull();
    await worker.clock.advance(1);
    expect(worker.coordinator.link.end.closed?.code).toBe(1006);
  });

  it('is not detected while it pings', async () => {
    const worker = await startWorker();
    for (let s = 0; s < 120; s += 15) {
      await worker.clock.advance(15_000);
      await worker.coordinator.link.send({ type: 'ping', id: s });
    }
    expect(worker.coordinator.links).toHaveLength(1);
  });

  it('is not detected after the machine was suspended', async () => {
    const worker = await startWorker();
    worker.clock.skip(3_600_000);
    await worker.clock.advance(0);
    expect(worker.coordinator.links).toHaveLength(1);
    expect(worker.coordinator.link.end.closed).toBeNull();
  });

  it('is detected if the connection never opens', async () => {
    const worker = await startWorker((coordinator) => (coordinator.hanging = true));
    await worker.clock.advance(31_000);
    expect(worker.coordinator.links).toHaveLength(2);
  });
});
