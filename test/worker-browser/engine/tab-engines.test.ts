import { expect, test } from 'vitest';
import { benchmarkJob } from '../../../shared/engine/benchmark-job.ts';
import type { EngineRequest, FromEngine, Port } from '../../../shared/engine/remote-engine/messages.ts';
import { parseOverride, type BackendName } from '../../../worker-browser/engine/backend-candidates.ts';
import { TabEngines } from '../../../worker-browser/engine/tab-engines.ts';
import { manualClock, settle, type ManualClock } from '../../support/manual-clock.ts';

const benchmarkCase = benchmarkJob(4);

/** Engines whose answers take `answerMs` milliseconds of the clock; with Infinity they never answer. */
function engines(clock: ManualClock, answerMs: Record<BackendName, number>) {
  const alive = new Map<Port, BackendName>();
  const opened: BackendName[] = [];
  const startWorker = (): Port => {
    let hear: (message: FromEngine) => void = () => undefined;
    let backend: BackendName = 'wasm';
    let samples = 0;
    const answerTo = (request: EngineRequest) => {
      if (request.type === 'open') {
        return { info: { backend, version: '', device: 'test', threads: 1 }, why: 'a test' };
      }
      if (request.type !== 'gradient') return { supportsFactors: false };
      samples = request.shard.samples?.sampleNumbers.length ?? samples;
      return { result: { lossSum: 1, metrics: [1] }, buffer: request.buffer?.fill(samples) ?? null };
    };
    const worker: Port = {
      post(message) {
        if (message.type !== 'request') return;
        const { call, request } = message;
        if (request.type === 'open') {
          backend = request.choice as BackendName;
          alive.set(worker, backend);
          opened.push(backend);
        }
        const ms = request.type === 'load' ? 0 : answerMs[backend];
        if (ms === Infinity) return;
        clock.after(ms, () => hear({ type: 'answer', call, answer: answerTo(request) as never }));
      },
      end: () => void alive.delete(worker),
      listen: (onMessage) => (hear = onMessage),
    };
    return worker;
  };
  const tab = new TabEngines({
    startWorker,
    allocateShared: null,
    capabilities: { cores: 2, secureContext: true, hasWebGpu: true, hasOffscreenCanvas: true },
    override: parseOverride(''),
    benchmarkCase,
    clock,
  });
  return { tab, opened, alive: () => [...alive.values()] };
}

/** Advances the clock and awaits a promise. */
async function after<Value>(clock: ManualClock, ms: number, value: Promise<Value>): Promise<Value> {
  await clock.advance(ms);
  return value;
}

test('the fastest engine is used, and the others are closed', async () => {
  const clock = manualClock();
  const { tab, alive } = engines(clock, { wasm: 100, webgpu: 10, webgl: 50 });
  const first = await after(clock, 5_000, tab.openFirst());
  expect(first.backend).toBe('wasm');
  const faster = await after(clock, 5_000, tab.findFaster('wasm'));
  expect(faster?.backend).toBe('webgpu');
  first.close();
  expect(alive()).toEqual(['webgpu']);
});

test.each([
  ['opened', 105],
  ['benchmarked', 205],
])(
  'a pause while the second GPU engine is being %s closes both, and both are benchmarked again later',
  async (_, atMs) => {
    const clock = manualClock();
    const answerMs = { wasm: 500, webgpu: 10, webgl: 100 };
    const { tab, alive, opened } = engines(clock, answerMs);
    await after(clock, 10_000, tab.openFirst());
    const pause = new AbortController();
    const search = tab.findFaster('wasm', pause.signal);
    await clock.advance(atMs);
    expect(alive()).toContain('webgl');
    pause.abort();
    expect(await search).toBeNull();
    await settle();
    expect(alive().filter((backend) => backend !== 'wasm')).toEqual([]);
    expect(clock.pending).toBeLessThanOrEqual(1);

    const faster = await after(clock, 5_000, tab.findFaster('wasm'));
    expect(faster?.backend).toBe('webgpu');
    expect(opened.filter((backend) => backend === 'webgpu')).toHaveLength(2);
  },
);

test('an engine that is lost is opened again once, then the next best one', async () => {
  const clock = manualClock();
  const { tab } = engines(clock, { wasm: 100, webgpu: 10, webgl: 50 });
  await after(clock, 5_000, tab.openFirst());
  await after(clock, 10_000, tab.findFaster('wasm'));
  const backends: string[] = [];
  for (const lost of ['webgpu', 'webgpu', 'webgl', 'webgl'] as const) {
    const { backend } = await after(clock, 10_000, tab.reopen(lost));
    backends.push(backend);
  }
  expect(backends).toEqual(['webgpu', 'webgl', 'webgl', 'wasm']);
});
