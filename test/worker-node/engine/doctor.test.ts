import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { spawnGradcast } from '../../support/worker-process.ts';

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'gradcast-doctor-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

const engine = (options: readonly string[], env: NodeJS.ProcessEnv) =>
  spawnGradcast(['engine', ...options], { ...process.env, XDG_CACHE_HOME: cache, ...env });

test('an engine that works is marked, and the exit code is 0', async () => {
  const run = engine([], {});
  expect(await run.ended, run.output()).toBe(0);
  expect(run.output()).toMatch(/^> (wasm|native) /m);
});

test('without a working engine the exit code is 1', async () => {
  const noWebAssembly = '--import=data:text/javascript,delete(globalThis.WebAssembly)';
  const run = engine([], { NODE_OPTIONS: `--no-addons ${noWebAssembly}` });
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toMatch(/^x wasm .*\n +WebAssembly does not work in this Node\.$/m);
  expect(run.output()).toContain('No engine works here.');
});
