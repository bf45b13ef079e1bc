import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { foreignHolder } from '../support/foreign-lock.ts';
import { waitForOutput } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { data, scratch, gradcast, train, remove } = await makeRuns();
afterAll(remove);

test('a folder has one run at a time, which can be resumed as soon as its process has ended', async () => {
  const dir = join(scratch, 'taken');
  const resume = (command: string) =>
    gradcast(command, '--resume', dir, '--data', data, '--port', '0', '--checkpoint-every', '1');
  const first = train('taken', '--epochs', '10000', '--checkpoint-every', '1');
  await waitForOutput(first, /Epoch 2\/10000: 5 steps/);

  const second = resume('train');
  expect(await second.ended).toBe(1);
  expect(second.output()).toContain(`${dir} is in use by process ${first.child.pid}, since `);
  expect(second.output()).toContain(`end it with: kill ${first.child.pid}`);

  first.kill('SIGKILL');
  await first.ended;
  // Both find the lock of the killed run.
  const both = [resume('coordinator'), resume('coordinator')];
  const loser = await Promise.race(both.map(async (run) => [run, await run.ended] as const));
  expect(loser[1], loser[0].output()).toBe(1);
  const [winner] = both.filter((run) => run !== loser[0]);
  expect(loser[0].output()).toContain(`process ${winner!.child.pid}, since `);
  await waitForOutput(winner!, /Waiting for the first worker/);
  expect(JSON.parse(await readFile(join(dir, 'lock.json'), 'utf8'))).toMatchObject({
    pid: winner!.child.pid,
  });

  winner!.kill('SIGINT');
  expect(await winner!.ended, winner!.output()).toBe(130);
  expect((await readdir(dir)).sort()).toEqual(['checkpoints', 'config.json', 'history.jsonl', 'model']);
}, 60_000);

test('a run that a second Ctrl-C stops at once leaves no lock', async () => {
  const run = train('twice', '--epochs', '10000');
  await waitForOutput(run, /Epoch 1\/10000: 5 steps/);
  run.kill('SIGINT');
  await waitForOutput(run, /Ctrl-C again stops at once/);
  run.kill('SIGINT');
  expect(await run.ended, run.output()).toBe(130);
  expect(await readdir(join(scratch, 'twice'))).not.toContain('lock.json');
});

/** Lock of a process on another machine, without a heartbeat. */
const foreignLock = `${JSON.stringify({ ...foreignHolder, beat: '000000000007' })}\n`;

test('a run ends if another machine takes over its folder, and leaves the lock in place', async () => {
  const run = train('lost', '--epochs', '100000', '--checkpoint-every', '1');
  await waitForOutput(run, /Epoch 1\/100000: 5 steps/);
  const lock = join(scratch, 'lost', 'lock.json');
  // A takeover replaces the file.
  await writeFile(`${lock}.new`, foreignLock);
  await rename(`${lock}.new`, lock);
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toMatch(/gradcast: \S+lost was taken over by process 12 on elsewhere/);
  expect(await readFile(lock, 'utf8')).toBe(foreignLock);
});

test('a run that was killed on another machine can be resumed after its lock has expired', async () => {
  const dir = join(scratch, 'moved');
  const run = train('moved', '--epochs', '100000', '--checkpoint-every', '1');
  await waitForOutput(run, /Epoch 1\/100000: 5 steps/);
  run.kill('SIGKILL');
  await run.ended;
  await writeFile(join(dir, 'lock.json'), foreignLock);
  const resumed = gradcast(
    'coordinator',
    '--resume',
    dir,
    '--data',
    data,
    '--port',
    '0',
    '--epochs',
    '100000',
  );
  await waitForOutput(resumed, /is locked by process 12 on elsewhere\. Waiting up to 30 s/);
  await waitForOutput(resumed, /Waiting for the first worker/);
  resumed.kill('SIGINT');
  expect(await resumed.ended, resumed.output()).toBe(130);
  expect(await readdir(dir)).not.toContain('lock.json');
});
