import { describe, expect, it } from 'vitest';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { settle } from '../../support/manual-clock.ts';
import { testPool } from './pool-harness.ts';

describe('the heartbeat of a pool', () => {
  it('pings all workers every five seconds, including preparing ones', async () => {
    const { clock, connect, join } = testPool();
    const ann = await join('ann');
    const bob = connect();
    await bob.hello();
    await clock.advance(15_000);
    for (const client of [ann, bob]) expect(client.messages('ping').map(({ id }) => id)).toEqual([0, 1, 2]);
  });

  it('drops a worker after a minute without a message, and keeps a worker that answers', async () => {
    const { clock, join, events } = testPool();
    const ann = await join('ann');
    const bob = await join('bob');
    for (let s = 0; s < 65; s += 5) {
      await clock.advance(5_000);
      await bob.say({ type: 'pong', id: s });
    }
    expect(ann.closed?.code).toBe(CloseCode.timeout);
    expect(bob.closed).toBeNull();
    expect(events.slice(2)).toEqual(['left ann: No message for 65 s.']);
  });

  it('extends the timeout for long shards, and never shortens it to less than a minute', async () => {
    const { clock, pool, join } = testPool();
    const client = await join('ann');
    pool.extendSilenceTimeout(100_000);
    await clock.advance(100_000);
    expect(client.closed).toBeNull();
    pool.extendSilenceTimeout(1);
    await clock.advance(5_000);
    expect(client.closed?.code).toBe(CloseCode.timeout);
  });
});

describe('a finished run', () => {
  it('sends finished to all workers, and to workers that join later instead of a welcome', async () => {
    const { pool, clock, join, connect, events } = testPool({ rules: { maxWorkers: 10, token: 'secret' } });
    const ann = await join('ann', { token: 'secret' });
    pool.finish('The run is finished.');
    await settle();
    expect(ann.messages('finished')).toMatchObject([{ reason: 'The run is finished.' }]);
    expect(ann.closed?.code).toBe(CloseCode.normal);
    const late = connect();
    const unauthorized = connect();
    await late.hello({ token: 'secret' });
    expect(late.types).toEqual(['finished']);
    expect(late.closed?.code).toBe(CloseCode.normal);
    await unauthorized.hello({ token: 'guess' });
    expect(unauthorized.types).toEqual([]);
    expect(unauthorized.closed?.code).toBe(CloseCode.unauthorized);
    expect(events.filter((event) => event.startsWith('joined'))).toEqual(['joined ann']);
    pool.close('The program ends.');
    expect(clock.pending).toBe(0);
  });
});

describe('a finished run that another may follow', () => {
  it('keeps its workers until the next one begins, and refuses others with a code after which they retry', async () => {
    const { pool, clock, join, connect, events } = testPool({ awaitsNextRun: true });
    const ann = await join('ann', { standby: true });
    const bob = await join('bob');
    pool.finish('The run is finished.');
    for (let s = 0; s < 120; s += 5) {
      await clock.advance(5_000);
      for (const client of [ann, bob]) await client.say({ type: 'pong', id: s });
    }
    expect([ann.closed, bob.closed]).toEqual([null, null]);
    expect(ann.messages('standby')).toMatchObject([
      { standby: true, reason: 'The run is over, and the next one has not begun yet.' },
    ]);
    expect(bob.messages('standby')).toEqual([]);
    const late = connect();
    await late.hello();
    expect(late.closed?.code).toBe(CloseCode.noRun);
    pool.close('The next run begins.', true);
    for (const client of [ann, bob]) {
      expect(client.closed).toMatchObject({ code: CloseCode.noRun, reason: 'The next run begins.' });
      expect(client.messages('finished')).toEqual([]);
    }
    expect(events.slice(-2)).toEqual(['left ann: The next run begins.', 'left bob: The next run begins.']);
    expect(clock.pending).toBe(0);
  });

  it('sends them finished when there is no next one', async () => {
    const { pool, join } = testPool({ awaitsNextRun: true });
    const ann = await join('ann');
    pool.finish('The run is finished.');
    pool.close('The program ends.');
    await settle();
    expect(ann.messages('finished')).toMatchObject([{ reason: 'The program ends.' }]);
    expect(ann.closed?.code).toBe(CloseCode.normal);
  });
});

describe('a run that another process may continue', () => {
  it('closes the connections of its workers, also of those that come later, with a code after which they retry', async () => {
    const { pool, join, connect } = testPool();
    const ann = await join('ann');
    pool.finish('The run has ended with an error.', undefined, true);
    const late = connect();
    await late.hello();
    pool.close('The program ends.');
    for (const client of [ann, late]) {
      expect(client.closed).toEqual({ code: CloseCode.noRun, reason: 'The run has ended with an error.' });
      expect(client.messages('finished')).toEqual([]);
    }
  });
});

describe('a rejected answer', () => {
  it('is reported to its worker, which is dropped after the third', async () => {
    const { pool, join, events } = testPool();
    const client = await join('ann');
    const [worker] = pool.workers.values();
    const reject = (): void =>
      pool.reject(
        worker!,
        { step: step(4), shard: shardId(7) },
        new ProtocolError(CloseCode.notFinite, 'NaN.'),
      );
    reject();
    reject();
    await settle();
    expect(client.messages('rejected')).toEqual(
      Array(2).fill({ type: 'rejected', step: 4, shard: 7, code: CloseCode.notFinite, reason: 'NaN.' }),
    );
    expect(client.closed).toBeNull();
    reject();
    await settle();
    expect(client.closed).toEqual({ code: CloseCode.notFinite, reason: 'NaN.' });
    expect(events.at(-1)).toBe('left ann: NaN.');
  });

  it('closes the connection with a reason that is cut to the allowed length', async () => {
    const { pool, join } = testPool();
    const client = await join('ann');
    const [worker] = pool.workers.values();
    const error = new ProtocolError(CloseCode.cannotCompute, 'ä'.repeat(2000));
    for (let i = 0; i < 3; i++) pool.reject(worker!, { step: step(1), shard: shardId(1) }, error);
    await settle();
    expect(client.types.filter((type) => type === 'rejected')).toHaveLength(3);
    expect(Buffer.byteLength(client.closed!.reason)).toBeLessThanOrEqual(123);
  });
});

describe('closing a pool', () => {
  it('sends finished to all workers, including preparing ones, and leaves no timer', async () => {
    const { pool, clock, connect, join } = testPool();
    const ann = await join('ann');
    const bob = connect();
    await bob.hello();
    pool.close('The run is finished.');
    await settle();
    for (const client of [ann, bob]) {
      expect(client.received.at(-1)?.message).toEqual({ type: 'finished', reason: 'The run is finished.' });
      expect(client.closed?.code).toBe(CloseCode.normal);
    }
    expect(pool.workers.size).toBe(0);
    expect(clock.pending).toBe(0);
  });
});
