import { readSamples } from '../../shared/data/dataset.ts';
import { expect } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkerReady,
  type TestCoordinator,
} from './test-coordinator.ts';
import { spawnWorker } from './worker-process.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';
import type { StepInput } from '../../coordinator/training/step.ts';

/** A coordinator that a test attacks, and one honest worker in a process of its own. */
export interface AttackedRun {
  readonly coordinator: TestCoordinator;
  /** Numbers of all training samples. */
  readonly batch: Uint32Array;
  /** Input of the gradient step with this number. */
  readonly input: (step: number) => StepInput;
  /** Asserts that the honest worker can still complete a step. */
  readonly expectStepCompletes: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function attackedRun(token?: string): Promise<AttackedRun> {
  const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });
  const batch = Uint32Array.from({ length: 64 }, (_, i) => i);
  const topology = tinyTopology([28, 28, 1], 10);
  const coordinator = await testCoordinator(dataset, {
    topology,
    ...(token === undefined ? {} : { token }),
  });
  const tokenOptions = token === undefined ? [] : ['--token', token];
  const honest = spawnWorker(coordinator.url, ...tokenOptions, '--name', 'honest');
  await waitForWorkerReady(coordinator, 'honest');
  const input: AttackedRun['input'] = (step) => ({
    step: step as Step,
    batch: readSamples(dataset.train, batch),
    optimizer: fixedWeights(coordinator.initialWeights),
  });
  // A step of its own each time: other step runners of the test may have sent other weights in between.
  let step = 7;
  return {
    coordinator,
    batch,
    input,
    async expectStepCompletes() {
      const { lossSum, gradientSum } = await coordinator.stepRunner.run(input(step++));
      expect(lossSum / batch.length).toBeGreaterThan(1);
      expect(gradientSum.every(Number.isFinite)).toBe(true);
    },
    async close() {
      await coordinator.close('done');
      expect(await honest.ended, honest.output()).toBe(0);
    },
  };
}
