import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HEARTBEAT_INTERVAL_MS, LOCK_TIMEOUT_SECONDS } from '../../../coordinator/run/hold-lock.ts';
import { isProcessAlive, processStartTime } from '../../../coordinator/run/process-identity.ts';
import { serializeHolder, type LockHolder } from '../../../coordinator/run/lock-file.ts';
import { acquireRunLock } from '../../../coordinator/run/run-lock.ts';
import { manualClock, type ManualClock } from '../../support/manual-clock.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gradcast-lock-'));
});
afterEach(() => rm(dir, { recursive: true }));

const leave = (holder: object): Promise<void> =>
  writeFile(join(dir, 'lock.json'), JSON.stringify({ host: hostname(), since: 'some day', ...holder }));

describe('the lock of a run', () => {
  it('is had by one at a time, and leaves nothing behind', async () => {
    const lock = await acquireRunLock(dir);
    await expect(acquireRunLock(dir)).rejects.toThrow(`process ${process.pid}, since 20`);
    await lock.release();
    expect(await readdir(dir)).toEqual([]);
    await (await acquireRunLock(dir)).release();
  });

  it('is had by one of many who find that its holder has died', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    await leave({ pid: child.pid, start: null });
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => acquireRunLock(dir)));
    const taken = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(taken).toHaveLength(1);
    await taken[0]!.release();
  });

  it('is not held by whoever was given the number of the process that had it', async () => {
    await leave({ pid: process.pid, start: `${await processStartTime(process.pid)}1` });
    await (await acquireRunLock(dir)).release();
  });

  it('of an earlier version on another machine is held until a person says that it is not', async () => {
    await leave({ pid: process.pid, start: null, host: 'elsewhere' });
    await expect(acquireRunLock(dir)).rejects.toThrow(
      `${dir} belongs to a run of an earlier version of gradcast on elsewhere: process ${process.pid}, ` +
        `since some day. If that has ended, rename ${join(dir, 'lock.json')}.`,
    );
  });

  it('is made again where a person has deleted it, however many writes check it at the time', async () => {
    const lock = await acquireRunLock(dir);
    await rm(join(dir, 'lock.json'));
    await Promise.all(Array.from({ length: 8 }, () => lock.check()));
    expect(await readdir(dir)).toEqual(['lock.json']);
    await lock.release();
    expect(await readdir(dir)).toEqual([]);
  });

  it('that cannot be updated says so in words', async () => {
    const folder = join(dir, 'run');
    await mkdir(folder);
    const lock = await acquireRunLock(folder);
    await rm(folder, { recursive: true });
    await expect(lock.check()).rejects.toThrow(
      `${join(folder, 'lock.json')} cannot be updated: the file or a folder above it does not exist.`,
    );
    await lock.release();
  });

  it('is taken where it says nothing that can be understood', async () => {
    await writeFile(join(dir, 'lock.json'), '{"pid": 1');
    const lock = await acquireRunLock(dir);
    expect(JSON.parse(await readFile(join(dir, 'lock.json'), 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
  });
});

describe('the lock of a process that cannot be seen', () => {
  const elsewhere = {
    id: 'theirs',
    pid: 12,
    host: 'elsewhere',
    start: null,
    space: 'another machine',
    since: 'some day',
  };
  const here = { ...elsewhere, id: 'ours', host: 'here', space: 'this machine' };
  const leaveLock = (holder: LockHolder): Promise<void> =>
    writeFile(join(dir, 'lock.json'), serializeHolder(holder));
  const lockText = (): Promise<string> => readFile(join(dir, 'lock.json'), 'utf8');
  /** Turns the clock by seconds; files are read and written between. */
  const pass = async (clock: ManualClock, seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      await expect.poll(() => clock.pending).toBeGreaterThan(0);
      await clock.advance(1_000);
    }
  };

  it('lapses when its heartbeat has stopped, and not before', async () => {
    await leaveLock({ ...elsewhere, beat: 7 });
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
      `${dir} was in use by process 12 on elsewhere. Waiting up to 30 s to see whether it is alive ...`,
    ]);
    await lock.release();
    expect(await readdir(dir)).toEqual([]);
  });

  it('is held as long as its heart beats, also where the machine has the same name', async () => {
    const [theirs, ours] = [manualClock(), manualClock()];
    const lock = await acquireRunLock(dir, { clock: theirs, own: { ...elsewhere, host: 'here' } });
    const taking = acquireRunLock(dir, { clock: ours, own: here });
    const refused = expect(taking).rejects.toThrow(
      `${dir} belongs to a run that is going on: process 12 on here, since some day.`,
    );
    await pass(ours, 20);
    const before = await lockText();
    await theirs.advance(HEARTBEAT_INTERVAL_MS);
    await expect.poll(lockText).not.toBe(before);
    await pass(ours, 1);
    await refused;
    await lock.release();
  });

  it('that beats slowly is lost to another one, and notices before it writes', async () => {
    const [asleep, awake] = [manualClock(), manualClock()];
    const sleeper = await acquireRunLock(dir, { clock: asleep, own: elsewhere });
    const taking = acquireRunLock(dir, { clock: awake, own: here });
    await pass(awake, LOCK_TIMEOUT_SECONDS);
    const taker = await taking;
    await expect(sleeper.check()).rejects.toThrow(
      `${dir} was taken over by process 12 on here: this process was not heard of for 30 s.`,
    );
    expect(sleeper.lost.aborted).toBe(true);
    await sleeper.release();
    expect(await lockText()).toContain('"id":"ours"');
    await taker.check();
    await taker.release();
  });

  it('that is lost is noticed by the next heartbeat, too', async () => {
    const clock = manualClock();
    const lock = await acquireRunLock(dir, { clock, own: here });
    await leaveLock({ ...elsewhere, beat: 0 });
    await clock.advance(HEARTBEAT_INTERVAL_MS);
    await expect.poll(() => lock.lost.aborted).toBe(true);
    await lock.release();
  });

  it('that a person has deleted is made again', async () => {
    const clock = manualClock();
    const lock = await acquireRunLock(dir, { clock, own: here });
    await rm(join(dir, 'lock.json'));
    await clock.advance(HEARTBEAT_INTERVAL_MS);
    await expect.poll(() => lockText().catch(() => '')).toContain('"id":"ours"');
    await lock.release();
  });

  it('is waited for until the person stops', async () => {
    await leaveLock({ ...elsewhere, beat: 7 });
    const stop = new AbortController();
    const taking = acquireRunLock(dir, { clock: manualClock(), own: here, signal: stop.signal });
    stop.abort(new Error('stopped'));
    await expect(taking).rejects.toThrow('stopped');
    expect(await readdir(dir)).toEqual(['lock.json']);
  });
});

it('a process that was killed is not living, also before its parent has asked after it', async () => {
  // The shell becomes a program that asks after no child.
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
