import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  engineCacheKey,
  clearFailure,
  recentFailure,
  recordFailure,
} from '../../../worker-node/engine/install/failure.ts';
import { createStallDetector } from '../../../worker-node/engine/install/progress.ts';
import { currentTarget, type Target } from '../../../worker-node/engine/locate/target.ts';
import { ensureNativeEngine } from '../../../worker-node/engine/ensure-native.ts';
import { gradcast } from '../../support/worker-process.ts';

let cacheDir: string;
beforeEach(async () => void (cacheDir = await mkdtemp(join(tmpdir(), 'gradcast-prepare-'))));
afterEach(() => rm(cacheDir, { recursive: true, force: true }));

const HOUR_MS = 3_600_000;
const target = currentTarget();
const key = engineCacheKey(target, 'cpu');

async function prepare(
  nowMs: number,
  on: Target = target,
  required = false,
  { signal }: { readonly signal: AbortSignal } = new AbortController(),
  into = cacheDir,
): Promise<string[]> {
  const lines: string[] = [];
  const report = { print: (line: string) => void lines.push(line), update: () => undefined };
  const paths = { cacheDir: into, programFile: gradcast, commandLine: 'gradcast' };
  await ensureNativeEngine({ ...paths, signal, report, nowMs, target: on, env: {}, required });
  return lines;
}

test('a failure is remembered for some hours', async () => {
  const failure = { key, atMs: 100 * HOUR_MS, why: 'no host' };
  await recordFailure(cacheDir, failure);
  expect(await recentFailure(cacheDir, key, 101 * HOUR_MS)).toEqual(failure);
  expect(await recentFailure(cacheDir, key, 113 * HOUR_MS)).toBeNull();
  expect(await recentFailure(cacheDir, key, 99 * HOUR_MS)).toBeNull();
  expect(await recentFailure(cacheDir, engineCacheKey(target, 'gpu'), 101 * HOUR_MS)).toBeNull();
  await clearFailure(cacheDir, key);
  expect(await readdir(cacheDir)).toEqual([]);
});

test('an invalid note of a failure is ignored', async () => {
  await writeFile(join(cacheDir, '.failed.json'), '{"key":');
  expect(await recentFailure(cacheDir, key, 0)).toBeNull();
  await recordFailure(join(cacheDir, 'nowhere'), { key, atMs: 0, why: '' });
});

test('without support for native engines, one line says so', async () => {
  const lines = await prepare(0, { ...target, platform: 'win32' });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('Windows');
  expect(await readdir(cacheDir)).toEqual([]);
});

test.runIf(target.platform === 'linux')(
  'soon after a failure one line says why, and nothing is installed',
  async () => {
    await recordFailure(cacheDir, { key, atMs: HOUR_MS, why: 'no\n  host' });
    expect(await prepare(3 * HOUR_MS)).toEqual([
      'No native TensorFlow (tried 2 h ago): no host. ' +
        'Using WebAssembly; to try again: gradcast engine install',
    ]);
  },
);

test('if the engine is required, an unsupported platform is an error', async () => {
  await expect(prepare(0, { ...target, platform: 'win32' }, true)).rejects.toThrow(
    /Windows.*--engine wasm works without it/,
  );
});

test.runIf(target.platform === 'linux')(
  'if the engine is required, an earlier failure does not prevent an installation',
  async () => {
    await recordFailure(cacheDir, { key, atMs: HOUR_MS, why: 'no host' });
    // The installation is aborted as soon as it has started.
    const lines = await prepare(3 * HOUR_MS, target, true, { signal: AbortSignal.abort() });
    expect(lines[0]).toContain('Installing native TensorFlow, once');
  },
);

test('if the engine is required, a failed installation is an error', async () => {
  const inTheWay = join(cacheDir, 'file');
  await writeFile(inTheWay, '');
  await expect(prepare(0, target, true, undefined, inTheWay)).rejects.toThrow(
    /--engine wasm works without it\.$/,
  );
});

test('a download that stalls is detected, and a slow one is not', () => {
  const stalled = createStallDetector(60_000);
  expect([0, 30_000, 59_000].map((atMs) => stalled(0, atMs))).toEqual([false, false, false]);
  expect([59_500, 100_000, 119_000].map((atMs) => stalled(1, atMs))).toEqual([false, false, false]);
  expect(stalled(2, 119_400)).toBe(false);
  expect(stalled(2, 179_399)).toBe(false);
  expect(stalled(2, 179_400)).toBe(true);
});
