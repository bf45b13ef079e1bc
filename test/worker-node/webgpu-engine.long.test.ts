import { expect, test } from 'vitest';
import { prepareJob } from '../../coordinator/model/model.ts';
import { readSamples } from '../../shared/data/dataset.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { loadDigits } from '../support/digits.ts';
import { openGpuProcess } from '../support/gpu-process.ts';
import { smallCnn } from '../support/mixed-run.ts';
import { norm, relativeDifference } from '../support/vectors.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { describeWebGpu } from '../support/webgpu.ts';

describeWebGpu((env) => {
  test("the gradient of the default CNN is WebAssembly's", async () => {
    const dataset = await loadDigits(3);
    const { job, initialWeights } = await prepareJob(dataset, { batchSize: 3, epochs: 1, seed: 1337 });
    const shard = readSamples(dataset.train, Uint32Array.of(0, 1, 2));
    const gpu = await openGpuProcess(env);
    await gpu.compute('load', { job, weights: initialWeights });
    const actual = await gpu.compute('gradient', { step: 0 as Step, shard });
    await gpu.close();
    const computer = await (await wasmEngine()).load(job);
    computer.setWeights(initialWeights);
    const expected = new Float32Array(initialWeights.length);
    const result = await computer.gradient(0 as Step, shard, expected);
    computer.dispose();
    expect(norm(expected)).toBeGreaterThan(0.1);
    expect(relativeDifference(actual.gradient, expected)).toBeLessThan(1e-4);
    expect(actual.result.lossSum).toBeCloseTo(result.lossSum, 4);
  });

  test('200 steps leave no tensor and no memory of the GPU behind', async () => {
    const dataset = await loadDigits(8);
    const { job, initialWeights } = await prepareJob(dataset, {
      ...{ batchSize: 8, epochs: 1, seed: 1337, topology: smallCnn },
    });
    const gpu = await openGpuProcess(env);
    await gpu.compute('load', { job, weights: initialWeights });
    const step = (number: number) =>
      gpu.compute('gradient', {
        step: number as Step,
        // Shards of other sizes make other buffers.
        shard: readSamples(
          dataset.train,
          number % 2 === 0 ? Uint32Array.of(0, 1, 2, 3, 4) : Uint32Array.of(5, 6, 7),
        ),
      });
    await step(0);
    await step(1);
    const before = await gpu.compute('memory', null);
    for (let i = 2; i < 202; i++) await step(i);
    const after = await gpu.compute('memory', null);
    await gpu.close();
    expect(before.tensors).toBeGreaterThan(0);
    expect(before.bytes).toBeGreaterThan(0);
    expect(after).toEqual(before);
  });
});
