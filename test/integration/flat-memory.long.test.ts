import { readSamples } from '../../shared/data/dataset.ts';
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { testCoordinator, waitForWorkersReady } from '../support/test-coordinator.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { attachWorker } from '../support/training-run.ts';

/** Memory in use after garbage collection, in megabytes. */
function usedMegabytes(): number {
  collectGarbage();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return (heapUsed + external + arrayBuffers) / 2 ** 20;
}

test('the memory of coordinator and worker stays flat over 4,000 steps', async () => {
  const dataset = syntheticDigits({ seed: 1, trainCount: 32, testCount: 8 });
  const layer = (class_name: string, config: object) => ({ class_name, config });
  const topology = {
    class_name: 'Sequential',
    config: {
      name: 'small',
      layers: [
        layer('Conv2D', {
          filters: 2,
          kernel_size: 5,
          strides: 4,
          activation: 'relu',
          batch_input_shape: [null, 28, 28, 1],
        }),
        layer('Dropout', { rate: 0.25 }),
        layer('Flatten', {}),
        layer('Dense', { units: 10, activation: 'softmax' }),
      ],
    },
  };
  const coordinator = await testCoordinator(dataset, { topology, batchSize: 32 });
  const worker = attachWorker(coordinator.url, 'here', await wasmEngine());
  await waitForWorkersReady(coordinator, 1);

  const optimizer = createOptimizer(coordinator.job.optimizer, layoutOf(coordinator.job.layout));
  optimizer.weights.set(coordinator.initialWeights);
  const batch = Uint32Array.from({ length: 32 }, (_, i) => i);
  let step = 0;
  const train = async (until: number): Promise<void> => {
    for (; step < until; step++) {
      await coordinator.stepRunner.run({
        step: step as Step,
        batch: readSamples(dataset.train, batch),
        optimizer,
      });
    }
  };
  await train(1000);
  const { numTensors } = tf.memory();
  // A leak grows in both stretches; caches and compiled code may grow in one of them.
  const growth: number[] = [];
  for (const until of [3000, 5000]) {
    const before = usedMegabytes();
    await train(until);
    growth.push(usedMegabytes() - before);
  }
  expect(tf.memory().numTensors).toBe(numTensors);
  console.log(`  ${growth.map((grown) => grown.toFixed(2)).join(' and ')} MB more after 2,000 steps each`);
  // A leak of one frame of a shard per step would be 50 MB, a leak of one closure some hundred kilobytes.
  expect(Math.min(...growth)).toBeLessThan(1);
  await coordinator.close('done');
  expect(await worker.ended).toBe('done');
});
