import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { said } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { data, scratch, gradcast, train, remove } = await makeRuns();
afterAll(remove);

test('a folder has one run at a time, which may be gone on with as soon as its process is gone', async () => {
  const dir = join(scratch, 'taken');
  const resume = (command: string) =>
    gradcast(command, '--resume', dir, '--data', data, '--port', '0', '--checkpoint-every', '1');
  const first = train('taken', '--epochs', '10000', '--checkpoint-every', '1');
  await said(first, /Epoch 2\/10000: 5 steps/);

  const second = resume('train');
  expect(await second.ended).toBe(1);
  expect(second.output()).toContain(
    `${dir} belongs to a run that is going on: process ${first.child.pid}, since `,
  );
  expect(second.output()).toContain(`end it with: kill ${first.child.pid}`);

  first.kill('SIGKILL');
  await first.ended;
  // Both find what the dead one has left.
  const both = [resume('coordinator'), resume('coordinator')];
  const other = await Promise.race(both.map(async (run) => [run, await run.ended] as const));
  expect(other[1], other[0].output()).toBe(1);
  const [taker] = both.filter((run) => run !== other[0]);
  expect(other[0].output()).toContain(`process ${taker!.child.pid}, since `);
  await said(taker!, /Waiting for the first worker/);
  expect(JSON.parse(await readFile(join(dir, 'lock.json'), 'utf8'))).toMatchObject({
    pid: taker!.child.pid,
  });

  taker!.kill('SIGINT');
  expect(await taker!.ended, taker!.output()).toBe(130);
  expect((await readdir(dir)).sort()).toEqual(['checkpoints', 'config.json', 'history.jsonl', 'model']);
}, 60_000);

test('a run that is stopped at once, by a second Ctrl-C, leaves no lock', async () => {
  const run = train('twice', '--epochs', '10000');
  await said(run, /Epoch 1\/10000: 5 steps/);
  run.kill('SIGINT');
  await said(run, /Ctrl-C again stops at once/);
  run.kill('SIGINT');
  expect(await run.ended, run.output()).toBe(130);
  expect(await readdir(join(scratch, 'twice'))).not.toContain('lock.json');
});
