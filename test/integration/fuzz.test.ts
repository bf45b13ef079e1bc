import { expect, test } from 'vitest';
import { startHonestRun, openIdleConnections, runFuzzClient } from '../support/fuzz-run.ts';
import { testSeed } from '../support/property.ts';

// test/soak/fuzz.long.test.ts sends 200,000 frames and measures the time of a step.
test('a run continues under hostile frames and idle connections', async () => {
  const run = await startHonestRun();
  const seed = testSeed(1);
  const cut = await openIdleConnections(run.coordinator, 300);
  await run.measureSteps(5);
  // The idle connections block new ones from their address until they are closed.
  cut();
  const attack = runFuzzClient(run.coordinator, seed, 5_000);
  await run.measureSteps(attack);
  expect(await attack).toBe(5_000);
  await run.measureSteps(5);
  const names = [...run.coordinator.pool.workers.values()].map(({ name }) => name);
  for (const name of ['ann', 'bob', 'cyd']) expect(names).toContain(name);
  await run.close();
});
