import { expect, it } from 'vitest';
import { Notices } from '../../../coordinator/observe/notices.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testPool } from '../pool/pool-harness.ts';

it('remembers refused, banned and standby workers, a few of each kind', async () => {
  const { pool, join, connect, clock } = testPool();
  const notices = new Notices(pool, clock);
  const ann = await join('ann');
  const bob = await join('bob');
  const workerOf = (name: string) => [...pool.workers.values()].find((worker) => worker.name === name)!;

  pool.setStandby(workerOf('ann'), 'A step takes 3 ms without it.');
  expect(notices.all).toEqual([
    { what: 'standby', who: 'ann', reason: 'A step takes 3 ms without it.', times: 1 },
  ]);
  pool.setStandby(workerOf('ann'), null);
  expect(notices.all).toEqual([]);

  pool.drop(workerOf('bob'), CloseCode.wrongGradient, 'Its gradients are not those of ann and cyd.');
  await ann.say({ type: 'leaving', reason: 'asked to leave' });
  expect(notices.all).toMatchObject([
    { what: 'banned', reason: 'Its gradients are not those of ann and cyd.', times: 1 },
  ]);
  expect(notices.all[0]?.who).toMatch(/^bob \(.+ on .+\)$/);
  expect(bob.closed?.code).toBe(CloseCode.wrongGradient);

  for (let i = 0; i < 3; i++) await connect().say({ type: 'pong', id: 1 });
  expect(notices.all.at(-1)).toMatchObject({ what: 'refused', times: 3 });
  for (let i = 0; i < 20; i++) await connect().hello({ codecs: [`other ${i}`] });
  expect(notices.all.length).toBeLessThanOrEqual(9);
  await clock.advance(5 * 60_000);
  expect(notices.all.map(({ what }) => what)).toEqual(['banned']);
});
