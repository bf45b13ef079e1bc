import { beforeAll, expect, test } from 'vitest';
import { FAULT_RUN_STEPS, faultInjectionRun, referenceRun } from '../support/fault-injection.ts';
import { withoutTimings, type RunResult } from '../support/training-run.ts';
import { testSeed } from '../support/property.ts';

let expected: RunResult;
beforeAll(async () => {
  expected = await referenceRun();
});

// test/soak/fault-injection.long.test.ts runs more seeds.
test.each([1, 2, 3])(
  'with a fault at every step, each step completes and the bits equal those of a run without faults (seed %i)',
  async (fixed) => {
    const seed = testSeed(fixed);
    const { weights, history, samples, faults, elapsedMs } = await faultInjectionRun(seed);
    console.log(`  seed ${seed}: ${(elapsedMs / 1000).toFixed(1)} s, ${JSON.stringify(faults)}`);
    expect(samples).toHaveLength(FAULT_RUN_STEPS);
    expect(samples).toEqual(expected.samples);
    expect(history.map(withoutTimings)).toEqual(expected.history.map(withoutTimings));
    expect(Buffer.from(weights.buffer).equals(Buffer.from(expected.weights.buffer))).toBe(true);
  },
  120_000,
);
