import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from '../../scripts/lock.js';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gradcast-start-'));
  file = join(folder, 'lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('concurrent calls do their work one after the other', async () => {
  let inside = 0;
  const insideCounts: number[] = [];
  const work = async (): Promise<void> => {
    insideCounts.push(++inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
  };
  let waited = 0;
  await Promise.all([1, 2, 3].map(() => withLock(file, () => waited++, work, 1)));
  expect(insideCounts).toEqual([1, 1, 1]);
  expect(waited).toBe(2);
  expect(existsSync(file)).toBe(false);
});

test('the lock is released after work that failed', async () => {
  await expect(
    withLock(
      file,
      () => undefined,
      () => Promise.reject(new Error('no')),
    ),
  ).rejects.toThrow('no');
  expect(existsSync(file)).toBe(false);
});

test('the lock of a killed process expires', async () => {
  const lock = fileURLToPath(new URL('../../scripts/lock.js', import.meta.url));
  const program = `import { withLock } from ${JSON.stringify(lock)};
    await withLock(${JSON.stringify(file)}, () => {}, () => { process.kill(process.pid, 'SIGKILL'); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
  await new Promise((resolve) => child.once('exit', resolve));
  expect(existsSync(file)).toBe(true);
  let waited = 0;
  expect(
    await withLock(
      file,
      () => waited++,
      () => 7,
      1,
    ),
  ).toBe(7);
  expect(waited).toBe(1);
});

test('a process does not remove the lock after another one has taken it over', async () => {
  await withLock(
    file,
    () => undefined,
    () => writeFile(file, 'another'),
  );
  expect(existsSync(file)).toBe(true);
});
