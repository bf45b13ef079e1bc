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

test('--json has the used engine and why', async () => {
  const run = engine(['--json'], {});
  expect(await run.ended, run.output()).toBe(0);
  const { used, findings } = JSON.parse(run.output()) as {
    readonly used: { readonly engine: string; readonly why: string };
    readonly findings: readonly { readonly engine: string; readonly benchmark: object | null }[];
  };
  expect(used.why).not.toBe('');
  expect(findings.find(({ engine: name }) => name === used.engine)?.benchmark).not.toBeNull();
  expect(findings.map(({ engine: name }) => name)).toContain('webgpu');
});

test('--report prints a row and says that no GPU computes', async () => {
  // Neither CUDA's engine nor WebGPU loads.
  const run = engine(['--report'], { NODE_OPTIONS: '--no-addons' });
  expect(await run.ended, run.output()).toBe(1);
  expect(run.output()).toMatch(/^\| Vendor \| GPU \|/m);
  expect(run.output()).toMatch(/^\|.*\| WebGPU, Dawn of webgpu [\d.]+ \| [^|]+ \|/m);
  expect(run.output()).toContain('No engine computes on a GPU here');
});
