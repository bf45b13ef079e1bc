import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UPDATE_INTERVAL_MS, LOCK_TIMEOUT_SECONDS } from '../../../coordinator/run/hold-lock.ts';
import { isProcessAlive, processStartTime } from '../../../coordinator/run/process-identity.ts';
import { serializeHolder, type LockHolder } from '../../../coordinator/run/lock-file.ts';
import { acquireRunLock } from '../../../coordinator/run/run-lock.ts';
import { foreignHolder } from '../../support/foreign-lock.ts';
import { manualClock, type ManualClock } from '../../support/manual-clock.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gradcast-lock-'));
});
afterEach(() => rm(dir, { recursive: true }));

const writeLock = (holder: object): Promise<void> =>
  writeFile(join(dir, 'lock.json'), JSON.stringify({ host: hostname(), since: 'some day', ...holder }));

describe('the lock of a run', () => {
  it('is held by one process at a time, and is removed on release', async () => {
    const lock = await acquireRunLock(dir);
    await expect(acquireRunLock(dir)).rejects.toThrow(`process ${process.pid}, since 20`);
    await lock.release();
    expect(await readdir(dir)).toEqual([]);
    await (await acquireRunLock(dir)).release();
  });

  it('is taken by one of many processes when its holder has died', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    await writeLock({ pid: child.pid, start: null });
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => acquireRunLock(dir)));
    const locks = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(locks).toHaveLength(1);
    await locks[0]!.release();
  });

  it('is not held by a later process with the number of its holder', async () => {
    await writeLock({ pid: process.pid, start: `${await processStartTime(process.pid)}1` });
    await (await acquireRunLock(dir)).release();
  });

  it('of an earlier version on another machine is held until a person renames it', async () => {
    await writeLock({ pid: process.pid, start: null, host: 'elsewhere' });
    await expect(acquireRunLock(dir)).rejects.toThrow(
      `${dir} is in use by a run of an earlier version of gradcast on elsewhere: process ${process.pid}, ` +
        `since some day. If that process has ended, rename ${join(dir, 'lock.json')}.`,
    );
  });

  it('is made again after a person has deleted it, while many writes check it', async () => {
    const lock = await acquireRunLock(dir);
    await rm(join(dir, 'lock.json'));
    await Promise.all(Array.from({ length: 8 }, () => lock.check()));
    expect(await readdir(dir)).toEqual(['lock.json']);
    await lock.release();
    expect(await readdir(dir)).toEqual([]);
  });

  it('that cannot be updated is an error with a sentence', async () => {
    const folder = join(dir, 'run');
    await mkdir(folder);
    const lock = await acquireRunLock(folder);
    await rm(folder, { recursive: true });
    await expect(lock.check()).rejects.toThrow(
      `${join(folder, 'lock.json')} cannot be updated: the file or a folder above it does not exist.`,
    );
    await lock.release();
  });

  it('is taken if its text is not valid', async () => {
    await writeFile(join(dir, 'lock.json'), '{"pid": 1');
    const lock = await acquireRunLock(dir);
    expect(JSON.parse(await readFile(join(dir, 'lock.json'), 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
  });
});

describe('the lock of a process that cannot be seen', () => {
  const here = { ...foreignHolder, id: 'ours', host: 'here', space: 'this machine' };
  const writeHolder = (holder: LockHolder): Promise<void> =>
    writeFile(join(dir, 'lock.json'), serializeHolder(holder));
  const lockText = (): Promise<string> => readFile(join(dir, 'lock.json'), 'utf8');
  /** Advances the clock second by second, so that files are read and written in between. */
  const pass = async (clock: ManualClock, seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      await expect.poll(() => clock.pending).toBeGreaterThan(0);
      await clock.advance(1_000);
    }
  };

  it('is stale when its heartbeat has stopped, and not earlier', async () => {
    await writeHolder({ ...foreignHolder, beat: 7 });
    const clock = manualClock();
    const lines: string[] = [];
    let isTaken = false;
    const taking = acquireRunLock(dir, { clock, own: here, info: (line) => lines.push(line) });
    void taking.then(() => (isTaken = true));
    await pass(clock, LOCK_TIMEOUT_SECONDS - 1);
    await expect.poll(() => clock.pending).toBe(1);
    expect(isTaken).toBe(false);
    expect(await lockText()).toContain('elsewhere');
    await clock.advance(1_000);
    const lock = await taking;
    expect(await lockText()).toContain('"host":"here"');
    expect(lines).toEqual([
      `${dir} is locked by process 12 on elsewhere. Waiting up to 30 s to see whether it is alive ...`,
    ]);
    await lock.release();
    expect(await readdir(dir)).toEqual([]);
  });

  it('is held as long as it has a heartbeat, even if the machine has the same name', async () => {
    const theirs = manualClock();
    const ours = manualClock();
    const lock = await acquireRunLock(dir, { clock: theirs, own: { ...foreignHolder, host: 'here' } });
    const taking = acquireRunLock(dir, { clock: ours, own: here });
    const refused = expect(taking).rejects.toThrow(`${dir} is in use by process 12 on here, since some day.`);
    await pass(ours, 20);
    const before = await lockText();
    await theirs.advance(UPDATE_INTERVAL_MS);
    await expect.poll(lockText).not.toBe(before);
    await pass(ours, 1);
    await refused;
    await lock.release();
  });

  it('is lost to another process without a heartbeat, and the holder notices before it writes', async () => {
    const asleep = manualClock();
    const awake = manualClock();
    const sleeper = await acquireRunLock(dir, { clock: asleep, own: foreignHolder });
    const taking = acquireRunLock(dir, { clock: awake, own: here });
    await pass(awake, LOCK_TIMEOUT_SECONDS);
    const taker = await taking;
    await expect(sleeper.check()).rejects.toThrow(
      `${dir} was taken over by process 12 on here, because this process sent no heartbeat for 30 s.`,
    );
    expect(sleeper.lost.aborted).toBe(true);
    await sleeper.release();
    expect(await lockText()).toContain('"id":"ours"');
    await taker.check();
    await taker.release();
  });

  it('is found to be lost by the next heartbeat', async () => {
    const clock = manualClock();
    const lock = await acquireRunLock(dir, { clock, own: here });
    await writeHolder({ ...foreignHolder, beat: 0 });
    await clock.advance(UPDATE_INTERVAL_MS);
    await expect.poll(() => lock.lost.aborted).toBe(true);
    await lock.release();
  });

  it('is made again by the next heartbeat after a person has deleted it', async () => {
    const clock = manualClock();
    const lock = await acquireRunLock(dir, { clock, own: here });
    await rm(join(dir, 'lock.json'));
    await clock.advance(UPDATE_INTERVAL_MS);
    await expect.poll(() => lockText().catch(() => '')).toContain('"id":"ours"');
    await lock.release();
  });

  it('is waited for until the signal is aborted', async () => {
    await writeHolder({ ...foreignHolder, beat: 7 });
    const stop = new AbortController();
    const taking = acquireRunLock(dir, { clock: manualClock(), own: here, signal: stop.signal });
    stop.abort(new Error('stopped'));
    await expect(taking).rejects.toThrow('stopped');
    expect(await readdir(dir)).toEqual(['lock.json']);
  });
});

it('a killed process is not alive, even before its parent has read its exit status', async () => {
  // The shell becomes a program that reads no exit status.
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec tail -f /dev/null'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  const start = await processStartTime(pid);
  expect(await isProcessAlive(pid, start)).toBe(true);
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => isProcessAlive(pid, start)).toBe(false);
  parent.kill();
  await once(parent, 'exit');
});
