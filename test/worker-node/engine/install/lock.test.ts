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

test('the second waits for the first, and says so once', async () => {
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

test('the lock of a process that was killed lapses', async () => {
  const lock = join(folder, '.lock');
  await mkdir(lock);
  await utimes(lock, 0, 0);
  expect(await withLock(folder, { ...options, onWaiting: () => undefined }, () => Promise.resolve(1))).toBe(
    1,
  );
});

test('it is free again after work that failed', async () => {
  const failing = withLock(folder, { ...options, onWaiting: () => undefined }, () =>
    Promise.reject(new Error('no')),
  );
  await expect(failing).rejects.toThrow('no');
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});

test('whoever waits can be told to stop', async () => {
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

test('work whose lock somebody has taken over is told to end', async () => {
  const onWaiting = (): void => undefined;
  const work = withLock(folder, { ...options, staleMs: 2_000, onWaiting }, async (signal) => {
    // As whoever found the lock untouched for too long: it is theirs from now on.
    await rm(join(folder, '.lock'), { recursive: true });
    await mkdir(join(folder, '.lock'));
    await utimes(join(folder, '.lock'), 1, 1);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    signal.throwIfAborted();
  });
  await expect(work).rejects.toThrow(new LockLostError());
});

/** Promise.withResolvers, which Node 20 lacks. */
function withResolvers(): { promise: Promise<undefined>; resolve: (value: undefined) => void } {
  let resolve: (value: undefined) => void = () => undefined;
  const promise = new Promise<undefined>((settle) => (resolve = settle));
  return { promise, resolve };
}
