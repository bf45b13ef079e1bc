import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { waitForOutput } from '../support/worker-process.ts';
import { makeRuns } from './runs.ts';

const { data, scratch, gradcast, train, remove } = await makeRuns();
afterAll(remove);

test('a folder has one run at a time, which may be gone on with as soon as its process is gone', async () => {
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
  // Both find what the dead one has left.
  const both = [resume('coordinator'), resume('coordinator')];
  const other = await Promise.race(both.map(async (run) => [run, await run.ended] as const));
  expect(other[1], other[0].output()).toBe(1);
  const [taker] = both.filter((run) => run !== other[0]);
  expect(other[0].output()).toContain(`process ${taker!.child.pid}, since `);
  await waitForOutput(taker!, /Waiting for the first worker/);
  expect(JSON.parse(await readFile(join(dir, 'lock.json'), 'utf8'))).toMatchObject({
    pid: taker!.child.pid,
  });

  taker!.kill('SIGINT');
  expect(await taker!.ended, taker!.output()).toBe(130);
  expect((await readdir(dir)).sort()).toEqual(['checkpoints', 'config.json', 'history.jsonl', 'model']);
}, 60_000);

test('a run that is stopped at once, by a second Ctrl-C, leaves no lock', async () => {
  const run = train('twice', '--epochs', '10000');
  await waitForOutput(run, /Epoch 1\/10000: 5 steps/);
  run.kill('SIGINT');
  await waitForOutput(run, /Ctrl-C again stops at once/);
  run.kill('SIGINT');
  expect(await run.ended, run.output()).toBe(130);
  expect(await readdir(join(scratch, 'twice'))).not.toContain('lock.json');
});

/** The lock of a process on another machine, whose heartbeat is never seen. */
const elsewhere = `${JSON.stringify({
  id: 'theirs',
  pid: 12,
  host: 'elsewhere',
  start: null,
  space: 'another machine',
  since: 'some day',
  beat: '000000000007',
})}\n`;

test('a run whose folder another machine has taken ends, and leaves the lock to it', async () => {
  const run = train('lost', '--epochs', '100000', '--checkpoint-every', '1');
  await waitForOutput(run, /Epoch 1\/100000: 5 steps/);
  const lock = join(scratch, 'lost', 'lock.json');
  // As it is taken: another file in its place.
  await writeFile(`${lock}.new`, elsewhere);
  await rename(`${lock}.new`, lock);
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toMatch(/gradcast: \S+lost was taken over by process 12 on elsewhere/);
  expect(await readFile(lock, 'utf8')).toBe(elsewhere);
});

test('a run that was killed on another machine is resumed when its lock has lapsed', async () => {
  const dir = join(scratch, 'moved');
  const run = train('moved', '--epochs', '100000', '--checkpoint-every', '1');
  await waitForOutput(run, /Epoch 1\/100000: 5 steps/);
  run.kill('SIGKILL');
  await run.ended;
  await writeFile(join(dir, 'lock.json'), elsewhere);
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
