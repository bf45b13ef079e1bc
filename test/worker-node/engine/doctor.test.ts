import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { explainSelection, type Finding } from '../../../worker-node/engine/doctor.ts';
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

test.each([
  [
    0.3,
    0.5,
    'it is installed: 0.300 ms a sample, 2 wasm workers 0.250, which is faster: --engine wasm (WebGPU: none)',
  ],
  [0.3, 0.8, 'it is installed: 0.300 ms a sample, 2 wasm workers 0.400 (WebGPU: none)'],
])(
  'native TensorFlow at %d ms a sample and WebAssembly at %d ms on each of two cores',
  (native, wasm, expected) => {
    const finding = (engine: 'native' | 'wasm', msPerSample: number): Finding => ({
      ...{ engine, package: engine, folder: null, reason: null },
      benchmark: {
        ...{
          backend: engine,
          version: '1',
          device: 'CPU',
          threads: engine === 'wasm' ? 1 : 2,
          gpu: false,
          gpus: [],
        },
        ...{ tensorflow: null, lossBefore: 2, lossAfter: 1, batch: 64, msPerSample, difference: null },
      },
    });
    const webGpu: Finding = {
      engine: 'webgpu',
      package: 'webgpu',
      folder: null,
      benchmark: null,
      reason: 'none',
    };
    const findings = [finding('native', native), webGpu, finding('wasm', wasm)];
    expect(explainSelection({ node: 'v20', platform: 'linux x64', cores: 2, findings })).toBe(expected);
  },
);
