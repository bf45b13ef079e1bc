import { describe, expect, it } from 'vitest';
import {
  describeInsecureContext,
  gpuCandidates,
  threadCounts,
  parseOverride,
  type BrowserCapabilities,
} from '../../../worker-browser/engine/backend-candidates.ts';
import { splitShard } from '../../../worker-browser/engine/parallel-engine.ts';
import {
  rankEngines,
  relativeDifference,
  explainChoice,
  type BenchmarkResult,
} from '../../../worker-browser/engine/rank-engines.ts';

const noWish = parseOverride('');
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

describe('what a tab tries', () => {
  it('leaves one of many cores to the browser, and tries fewer threads too', () => {
    expect(threadCounts(laptop, noWish)).toEqual([7, 4, 1]);
    expect(threadCounts({ ...laptop, cores: 2 }, noWish)).toEqual([2, 1]);
    expect(threadCounts({ ...laptop, cores: 1 }, noWish)).toEqual([1]);
    expect(threadCounts({ ...laptop, cores: 64 }, noWish)[0]).toBe(8);
  });

  it('tries the GPU in every way that the browser has', () => {
    expect(gpuCandidates(laptop, noWish)).toEqual(['webgpu', 'webgl']);
    expect(gpuCandidates({ ...laptop, hasWebGpu: false }, noWish)).toEqual(['webgl']);
  });

  it('does what the address asks for, and passes over what it does not know', () => {
    const wish = parseOverride('?engine=webgl&threads=2&utm_source=mail');
    expect(wish).toEqual({ backend: 'webgl', threads: 2 });
    expect(gpuCandidates(laptop, wish)).toEqual(['webgl']);
    expect(threadCounts(laptop, wish)).toEqual([2]);
    expect(parseOverride('?engine=abacus&threads=-1')).toEqual({ backend: null, threads: null });
  });

  it('says that plain http is why WebGPU is missing', () => {
    expect(describeInsecureContext(laptop)).toBe('');
    expect(describeInsecureContext({ ...laptop, secureContext: false })).toMatch(
      /plain http, and browsers keep WebGPU to https/,
    );
  });
});

describe('the engine that is taken', () => {
  it('is the fastest', () => {
    const fast = gpu(5_000);
    expect(rankEngines(wasm, [fast, broken])).toBe(fast);
    expect(rankEngines(wasm, [gpu(100)])).toBe(wasm);
  });

  it('is not changed for a little', () => {
    expect(rankEngines(wasm, [gpu(1_050)])).toBe(wasm);
  });

  it('computes right', () => {
    expect(rankEngines(wasm, [gpu(5_000, 0.1)])).toBe(wasm);
    expect(rankEngines(wasm, [gpu(5_000, NaN)])).toBe(wasm);
  });

  it('is whatever there is where WebAssembly does not start', () => {
    const slow = gpu(1);
    expect(rankEngines({ ...broken, backend: 'wasm' }, [slow])).toBe(slow);
    expect(rankEngines(null, [])).toBeNull();
  });

  it('is explained in words', () => {
    expect(explainChoice([wasm], ['webgpu', 'webgl'])).toBe(
      'Measured here: WebAssembly on 7 cores 1,000 samples/s. WebGPU and WebGL are tried next.',
    );
    expect(explainChoice([wasm, gpu(20, 0.5), broken], [])).toBe(
      'Measured here: WebAssembly on 7 cores 1,000 samples/s; WebGPU computes wrong gradients (off by 0.50); WebGL does not work (its start took more than 10 s).',
    );
  });
});

it('tells gradients apart by their norm', () => {
  expect(relativeDifference(Float32Array.of(3, 4), Float32Array.of(3, 4))).toBe(0);
  expect(relativeDifference(Float32Array.of(3, 5), Float32Array.of(3, 4))).toBeCloseTo(0.2);
  expect(relativeDifference(Float32Array.of(3), Float32Array.of(3, 4))).toBeNaN();
});

describe('a shard in parts', () => {
  const shard = {
    sampleNumbers: Uint32Array.of(10, 11, 12, 13, 14),
    images: Uint8Array.from({ length: 10 }, (_, i) => i),
    labels: Uint8Array.of(0, 1, 2, 3, 4),
  };

  it.each([1, 2, 3, 5, 9])('has every sample once, in order, in %i', (count) => {
    const parts = splitShard(shard, count);
    expect(parts.length).toBe(Math.min(count, 5));
    for (const key of ['sampleNumbers', 'images', 'labels'] as const) {
      expect(parts.flatMap((part) => [...part[key]])).toEqual([...shard[key]]);
    }
    const sizes = parts.map(({ labels }) => labels.length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  });
});
