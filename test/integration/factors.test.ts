import { readSamples } from '../../shared/data/dataset.ts';
import * as tf from '@tensorflow/tfjs';
import { afterEach, describe, expect, it } from 'vitest';
import { LINK_CODECS } from '../../coordinator/links/codecs.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { relativeDifference } from '../support/vectors.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { attachWorker } from '../support/training-run.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const BATCH = 16;
const dataset = syntheticDigits({ seed: 5, trainCount: 2 * BATCH, testCount: 10 });
const numbers = (step: number): Uint32Array =>
  Uint32Array.from({ length: BATCH }, (_, i) => (step % 2) * BATCH + i);
let open: TestCoordinator[] = [];

afterEach(async () => {
  for (const coordinator of open) await coordinator.close('done');
  open = [];
});

/** Gradients of some steps with the same weights, and the received bytes. */
async function gradientsOf(
  codec: string,
  buckets: boolean,
): Promise<{ gradients: Float32Array[]; bytesUp: number }> {
  const coordinator = await testCoordinator(dataset, {
    batchSize: BATCH,
    buckets,
    codecs: LINK_CODECS[codec]!,
  });
  open.push(coordinator);
  attachWorker(coordinator.url, 'ann', await wasmEngine());
  await waitForWorkersReady(coordinator, 1);
  const [worker] = [...coordinator.pool.workers.values()];
  const gradients: Float32Array[] = [];
  let bytesBefore = 0;
  for (let step = 0; step < 3; step++) {
    if (step === 1) bytesBefore = worker!.stats.bytesUp;
    const optimizer = fixedWeights(coordinator.initialWeights);
    const input = { step: step as Step, batch: readSamples(dataset.train, numbers(step)), optimizer };
    const next = readSamples(dataset.train, numbers(step + 1));
    gradients.push((await coordinator.stepRunner.run(input, next)).gradientSum.slice());
  }
  return { gradients, bytesUp: (worker!.stats.bytesUp - bytesBefore) / 2 };
}

describe('a gradient that travels as sufficient factors', () => {
  it.each([
    ['in one bucket', false],
    ['in two buckets', true],
  ])(
    'is the same except for rounding, in a fraction of the bytes: %s',
    async (_, buckets) => {
      const plain = await gradientsOf('float32', buckets);
      const tensors = tf.memory().numTensors;
      const factored = await gradientsOf('factors', buckets);
      for (const [i, gradient] of factored.gradients.entries()) {
        expect(relativeDifference(gradient, plain.gradients[i]!)).toBeLessThan(1e-5);
      }
      // Only one other model was built meanwhile.
      expect(tf.memory().numTensors - tensors).toBeLessThanOrEqual(tensors);
      expect(plain.bytesUp).toBeGreaterThan(2_400_000);
      expect(factored.bytesUp).toBeLessThan(4 * (BATCH * 4736 + 10_986) + 2_000);
    },
    60_000,
  );
});
