import { expect, test } from 'vitest';
import { FAULT_RUN_STEPS, faultInjectionRun, referenceRun } from '../support/fault-injection.ts';
import { soakSize } from '../support/soak-size.ts';
import { withoutTimings } from '../support/training-run.ts';

const seeds = soakSize('SEEDS', 5, 20);
const first = Number(process.env.SEED ?? 1);

test(`${seeds} runs with a fault at every step give the same bits`, async () => {
  const expected = await referenceRun();
  for (let seed = first; seed < first + seeds; seed++) {
    const { weights, history, samples, faults, elapsedMs } = await faultInjectionRun(seed);
    expect(samples, `seed ${seed}`).toEqual(expected.samples);
    expect(history.map(withoutTimings), `seed ${seed}`).toEqual(expected.history.map(withoutTimings));
    const same = Buffer.from(weights.buffer).equals(Buffer.from(expected.weights.buffer));
    expect(same, `seed ${seed}`).toBe(true);
    const took = `${(elapsedMs / 1000).toFixed(1)} s`;
    console.log(
      `seed ${seed}: ${FAULT_RUN_STEPS} steps in ${took}, the same bits; ${JSON.stringify(faults)}`,
    );
  }
});
