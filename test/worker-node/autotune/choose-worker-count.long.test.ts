import { expect, test } from 'vitest';
import { compareConfigs } from '../../../worker-node/autotune/compare-configs.ts';
import { describeNative } from '../../support/native.ts';
import { gradcast } from '../../support/worker-process.ts';

const team = { processes: 1, threads: 1, batch: 8 };
const { signal } = new AbortController();

test('runs of WebAssembly workers are measured in turn', async () => {
  const program = [process.execPath, gradcast] as const;
  const threads = { ...team, threads: 2 };
  const result = await compareConfigs(threads, { ...team, processes: 2 }, program, signal, 'wasm');
  expect(result).toMatchObject({ gpu: false });
  const stepMs = result.gpu ? [] : result.stepMs;
  expect(stepMs.map((ms) => Number.isFinite(ms) && ms > 0)).toEqual([true, true]);
});

describeNative(() => {
  test('configs of real processes are measured in turn', async () => {
    const program = [process.execPath, gradcast] as const;
    const result = await compareConfigs(
      { ...team, batch: 32 },
      { ...team, processes: 2, batch: 4 },
      program,
      signal,
    );
    expect(result).toMatchObject({ gpu: false });
    const stepMs = result.gpu ? [] : result.stepMs;
    expect(stepMs.map((ms) => Number.isFinite(ms) && ms > 0)).toEqual([true, true]);
  });
});
