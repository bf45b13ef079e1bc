import { relativeDifference } from '../../../shared/engine/gradient-tolerance.ts';
import { describe, expect, it } from 'vitest';
import {
  describeInsecureContext,
  gpuCandidates,
  threadCounts,
  parseOverride,
  type BrowserCapabilities,
} from '../../../worker-browser/engine/backend-candidates.ts';
import {
  rankEngines,
  explainChoice,
  type BenchmarkResult,
} from '../../../worker-browser/engine/rank-engines.ts';

const noOverride = parseOverride('');
const laptop: BrowserCapabilities = {
  cores: 8,
  secureContext: true,
  hasWebGpu: true,
  hasOffscreenCanvas: true,
};
const wasm: BenchmarkResult = { backend: 'wasm', threads: 7, samplesPerSecond: 1_000, difference: null };
const gpu = (samplesPerSecond: number, difference = 1e-6): BenchmarkResult => ({
  backend: 'webgpu',
  threads: 1,
  samplesPerSecond,
  difference,
});
const broken: BenchmarkResult = { backend: 'webgl', threads: 1, problem: 'its start took more than 10 s' };

describe('the candidates of a tab', () => {
  it('reserve one of many cores for the browser, and include fewer threads', () => {
    expect(threadCounts(laptop, noOverride)).toEqual([7, 4, 1]);
    expect(threadCounts({ ...laptop, cores: 2 }, noOverride)).toEqual([2, 1]);
    expect(threadCounts({ ...laptop, cores: 1 }, noOverride)).toEqual([1]);
    expect(threadCounts({ ...laptop, cores: 64 }, noOverride)[0]).toBe(8);
  });

  it('include all GPU backends of the browser', () => {
    expect(gpuCandidates(laptop, noOverride)).toEqual(['webgpu', 'webgl']);
    expect(gpuCandidates({ ...laptop, hasWebGpu: false }, noOverride)).toEqual(['webgl']);
  });

  it("follow the page's address, and ignore unknown parameters", () => {
    const override = parseOverride('?engine=webgl&threads=2&utm_source=mail');
    expect(override).toEqual({ backend: 'webgl', threads: 2 });
    expect(gpuCandidates(laptop, override)).toEqual(['webgl']);
    expect(threadCounts(laptop, override)).toEqual([2]);
    expect(parseOverride('?engine=abacus&threads=-1')).toEqual({ backend: null, threads: null });
  });

  it('have a hint that WebGPU needs https', () => {
    expect(describeInsecureContext(laptop)).toBe('');
    expect(describeInsecureContext({ ...laptop, secureContext: false })).toMatch(
      /plain http; over https, the browser may offer WebGPU/,
    );
  });
});

describe('the chosen engine', () => {
  it('is the fastest', () => {
    const fast = gpu(5_000);
    expect(rankEngines(wasm, [fast, broken])).toBe(fast);
    expect(rankEngines(wasm, [gpu(100)])).toBe(wasm);
  });

  it('does not change for a small speedup', () => {
    expect(rankEngines(wasm, [gpu(1_050)])).toBe(wasm);
  });

  it('computes correct gradients', () => {
    expect(rankEngines(wasm, [gpu(5_000, 0.1)])).toBe(wasm);
    expect(rankEngines(wasm, [gpu(5_000, NaN)])).toBe(wasm);
  });

  it('is any that works if WebAssembly does not start', () => {
    const slow = gpu(1);
    expect(rankEngines({ ...broken, backend: 'wasm' }, [slow])).toBe(slow);
    expect(rankEngines(null, [])).toBeNull();
  });

  it('is explained', () => {
    expect(explainChoice([wasm], ['webgpu', 'webgl'])).toBe(
      'Measured here: WebAssembly on 7 cores 1,000 samples/s. WebGPU and WebGL are tried next.',
    );
    expect(explainChoice([wasm, gpu(20, 0.5), broken], [])).toBe(
      'Measured here: WebAssembly on 7 cores 1,000 samples/s; WebGPU computes wrong gradients (off by 0.50); WebGL does not work (its start took more than 10 s).',
    );
  });
});

it('the difference of gradients is relative to their norm', () => {
  expect(relativeDifference(Float32Array.of(3, 4), Float32Array.of(3, 4))).toBe(0);
  expect(relativeDifference(Float32Array.of(3, 5), Float32Array.of(3, 4))).toBeCloseTo(0.2);
  expect(relativeDifference(Float32Array.of(3), Float32Array.of(3, 4))).toBeNaN();
});
