import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isLiving, startOf } from '../../../coordinator/storage/living.ts';
import { lockRun } from '../../../coordinator/storage/run-lock.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gradcast-lock-'));
});
afterEach(() => rm(dir, { recursive: true }));

const leave = (holder: object): Promise<void> =>
  writeFile(join(dir, 'lock.json'), JSON.stringify({ host: hostname(), since: 'some day', ...holder }));

describe('the lock of a run', () => {
  it('is had by one at a time, and leaves nothing behind', async () => {
    const lock = await lockRun(dir);
    await expect(lockRun(dir)).rejects.toThrow(`process ${process.pid}, since 20`);
    await lock.release();
    expect(await readdir(dir)).toEqual([]);
    await (await lockRun(dir)).release();
  });

  it('is had by one of many who find that its holder has died', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    await leave({ pid: child.pid, start: null });
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => lockRun(dir)));
    const taken = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(taken).toHaveLength(1);
    await taken[0]!.release();
  });

  it('is not held by whoever was given the number of the process that had it', async () => {
    await leave({ pid: process.pid, start: `${await startOf(process.pid)}1` });
    await (await lockRun(dir)).release();
  });

  it('is held on by another machine, until a person says that it is not', async () => {
    await leave({ pid: process.pid, start: null, host: 'elsewhere' });
    await expect(lockRun(dir)).rejects.toThrow(
      `${dir} belongs to a run on elsewhere: process ${process.pid}, since some day. ` +
        `If that is no longer there, delete ${join(dir, 'lock.json')}`,
    );
  });

  it('is taken where it says nothing that can be understood', async () => {
    await writeFile(join(dir, 'lock.json'), '{"pid": 1');
    const lock = await lockRun(dir);
    expect(JSON.parse(await readFile(join(dir, 'lock.json'), 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
  });
});

it('a process that was killed is not living, also before its parent has asked after it', async () => {
  // The shell becomes a program that asks after no child.
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec tail -f /dev/null'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  const start = await startOf(pid);
  expect(await isLiving(pid, start)).toBe(true);
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => isLiving(pid, start)).toBe(false);
  parent.kill();
  await once(parent, 'exit');
});
