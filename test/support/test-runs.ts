import { expect, test } from 'vitest';
import { lossDifference, type KerasRun } from './keras-runs.ts';
import { needsData } from './run-data.ts';

/**
 * Defines a test for each run: the losses of its first steps are those of Keras to 1e-4. Without the run's data it is skipped.
 * @param trainOn trains the first steps of a run and returns their losses
 */
export function testRuns(runs: readonly KerasRun[], trainOn: (run: KerasRun) => Promise<number[]>): void {
  for (const run of runs) {
    test(`${run.name}, Keras ${run.keras}`, needsData(run.data), async () => {
      const losses = await trainOn(run);
      expect(losses.length).toBeGreaterThan(0);
      expect(lossDifference(losses, run)).toBeLessThan(1e-4);
    });
  }
}
