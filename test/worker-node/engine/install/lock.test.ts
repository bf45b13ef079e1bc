import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LockLostError, withLock } from '../../../../worker-node/engine/install/lock.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-lock-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const options = { signal: new AbortController().signal, pollMs: 5 };

test('the second process waits for the first, and reports it once', async () => {
  const events: string[] = [];
  const { promise: waiting, resolve: waits } = withResolvers();
  const { promise: begun, resolve: begins } = withResolvers();
  const first = withLock(folder, { ...options, onWaiting: () => events.push('first waits') }, async () => {
    begins(undefined);
    await waiting;
    events.push('first ends');
  });
  await begun;
  const onWaiting = (): void => {
    events.push('second waits');
    waits(undefined);
  };
  await withLock(folder, { ...options, onWaiting }, () => Promise.resolve(events.push('second works')));
  await first;
  expect(events).toEqual(['second waits', 'first ends', 'second works']);
});

test('the lock of a killed process expires', async () => {
  const lock = join(folder, '.lock');
  await mkdir(lock);
  await utimes(lock, 0, 0);
  expect(await withLock(folder, { ...options, onWaiting: () => undefined }, () => Promise.resolve(1))).toBe(
    1,
  );
});

test('the lock is released after work that fails', async () => {
  const failing = withLock(folder, { ...options, onWaiting: () => undefined }, () =>
    Promise.reject(new Error('no')),
  );
  await expect(failing).rejects.toThrow('no');
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});

test('waiting for a lock can be aborted', async () => {
  const abort = new AbortController();
  await withLock(folder, { ...options, onWaiting: () => undefined }, async () => {
    const second = withLock(
      folder,
      { ...options, signal: abort.signal, onWaiting: () => abort.abort() },
      () => Promise.resolve(),
    );
    await expect(second).rejects.toThrow();
  });
});

test('work is aborted if another process takes its lock over', async () => {
  const onWaiting = (): void => undefined;
  const work = withLock(folder, { ...options, staleMs: 2_000, onWaiting }, async (signal) => {
    // As a process that finds the lock expired, and takes it over.
    await rm(join(folder, '.lock'), { recursive: true });
    await mkdir(join(folder, '.lock'));
    await utimes(join(folder, '.lock'), 1, 1);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    signal.throwIfAborted();
  });
  await expect(work).rejects.toThrow(new LockLostError());
});

/** Promise.withResolvers() for Node 20. */
function withResolvers(): { promise: Promise<undefined>; resolve: (value: undefined) => void } {
  let resolve: (value: undefined) => void = () => undefined;
  const promise = new Promise<undefined>((settle) => (resolve = settle));
  return { promise, resolve };
}
