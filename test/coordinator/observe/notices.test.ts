import { expect, it } from 'vitest';
import { logClients, Notices } from '../../../coordinator/observe/notices.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { recordingReport } from '../../support/test-coordinator.ts';
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

it("logs three changes of a worker's codecs in a row, and then one a minute", async () => {
  const { pool, join, clock } = testPool();
  const report = recordingReport();
  const log = logClients(pool, report, clock);
  await join('ann');
  await join('bob');
  const workerOf = (name: string) => [...pool.workers.values()].find((worker) => worker.name === name)!;
  const change = (name: string, reason: string): void => pool.emitCodecChanged(workerOf(name), reason);
  const changesOf = (name: string): string[] => report.lines.filter((line) => line.startsWith(`${name}: `));
  for (let i = 0; i < 10; i++) change('ann', `change ${i}`);
  change('bob', 'change');
  expect(changesOf('ann')).toEqual(['ann: change 0', 'ann: change 1', 'ann: change 2']);
  expect(changesOf('bob')).toEqual(['bob: change']);
  await clock.advance(61_000);
  for (let i = 10; i < 20; i++) change('ann', `change ${i}`);
  expect(changesOf('ann').slice(3)).toEqual(['ann: change 10']);
  log.close();
});
