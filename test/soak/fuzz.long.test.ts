import { expect, test } from 'vitest';
import { startHonestRun, openIdleConnections, runFuzzClient } from '../support/fuzz-run.ts';
import { isFullSize, soakSize } from '../support/soak-size.ts';

const frames = soakSize('FRAMES', 20_000, 200_000);
const seed = Number(process.env.SEED ?? 1);
const CONNECTIONS = 1_000;
const megabytes = (): number => process.memoryUsage().rss / 2 ** 20;

test(`a run survives ${frames} hostile frames and ${CONNECTIONS} idle connections`, async () => {
  const run = await startHonestRun();
  await run.measureSteps(60);
  const quietMs = await run.measureSteps(100);
  console.log(`quiet: ${quietMs.toFixed(1)} ms per step, ${megabytes().toFixed(0)} MB`);

  const cut = await openIdleConnections(run.coordinator, CONNECTIONS);
  const idleMs = await run.measureSteps(100);
  console.log(
    `${CONNECTIONS} idle connections: ${idleMs.toFixed(1)} ms per step, ${megabytes().toFixed(0)} MB`,
  );
  cut();

  const before = megabytes();
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, megabytes())), 100);
  const startedMs = performance.now();
  const attack = runFuzzClient(run.coordinator, seed, frames);
  const attackedMs = await run.measureSteps(attack);
  clearInterval(watch);
  const seconds = (performance.now() - startedMs) / 1000;
  const rate = (await attack) / seconds;
  console.log(
    `${await attack} hostile frames, ${rate.toFixed(0)} per second: ${attackedMs.toFixed(1)} ms per step, ` +
      `at most ${peak.toFixed(0)} MB (${before.toFixed(0)} before)`,
  );
  const afterMs = await run.measureSteps(100);
  console.log(`afterwards: ${afterMs.toFixed(1)} ms per step, ${run.coordinator.pool.workers.size} workers`);
  await run.close();
  expect(await attack).toBe(frames);
  // In CI other tests share the cores, so times are not compared.
  if (isFullSize) {
    expect(idleMs / quietMs).toBeLessThan(1.1);
    expect(attackedMs / quietMs).toBeLessThan(1.1);
  }
  expect(peak - before).toBeLessThan(300);
});
