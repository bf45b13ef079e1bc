import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { imageDataset } from '../../shared/data/dataset.ts';
import { roundingEngine } from '../support/rounding-engine.ts';
import { soakSize } from '../support/soak-size.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd, type LocalWorker } from '../support/training-run.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const steps = soakSize('STEPS', 5_000, 20_000);
const BATCH = 64;
const STEPS_AN_EPOCH = 500;
const WORKERS = 5;
/** Number of steps after which one worker leaves and one joins. */
const CHURN_INTERVAL = 10;

const split = (count: number) => ({
  images: new Uint8Array(16 * count),
  labels: new Uint8Array(count),
  count,
});
const dataset = imageDataset({
  name: 'numbers',
  description: '',
  sampleShape: [4, 4, 1],
  classes: 10,
  train: split(BATCH * STEPS_AN_EPOCH),
  test: split(100),
});

/** Memory in use after garbage collection, in megabytes, and the number of active resources by kind. */
function measureUse(): { megabytes: number; resources: Record<string, number> } {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return { megabytes: (heapUsed + external + arrayBuffers) / 2 ** 20, resources };
}

test(`${steps} steps with workers that join and leave leave no memory or resources behind`, async () => {
  const coordinator = await testCoordinator(dataset, {
    epochs: steps / STEPS_AN_EPOCH,
    batchSize: BATCH,
    microShard: 8,
    topology: tinyTopology([4, 4, 1], 10),
  });
  const engine = roundingEngine();
  const present: LocalWorker[] = [];
  let joined = 0;
  const ends: Promise<string>[] = [];
  const join = (): void => {
    const worker = attachWorker(coordinator.url, `w${joined++}`, engine);
    present.push(worker);
    // Ended workers are removed, since their results would count as memory in use.
    ends.push(worker.ended);
    void worker.ended.then(() => ends.splice(ends.indexOf(worker.ended), 1));
  };
  for (let i = 0; i < WORKERS; i++) join();
  await waitForWorkersReady(coordinator, WORKERS);
  const startedMs = performance.now();
  const measured: number[] = [];
  let before: Record<string, number> = {};
  let after: Record<string, number> = {};
  await trainToEnd(coordinator, dataset, {
    beforeStep: (step) => {
      if (step > 0 && step % CHURN_INTERVAL === 0) {
        present.shift()?.leave();
        join();
      }
      if (step % (steps / 10) !== 0 || step === 0) return;
      const { megabytes, resources } = measureUse();
      measured.push(megabytes);
      if (measured.length === 2) before = resources;
      after = resources;
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
      console.log(
        `${step} steps, ${seconds} s, ${joined} joined: ${megabytes.toFixed(1)} MB, ${JSON.stringify(resources)}`,
      );
    },
  });
  await coordinator.close('done');
  // A worker that joined too late to hear of the end would keep reconnecting.
  for (const worker of present) worker.leave();
  await Promise.all(ends);
  const first = measured[1] ?? 0;
  const last = measured.at(-1) ?? 0;
  console.log(`from ${first.toFixed(1)} to ${last.toFixed(1)} MB`);
  expect(last - first).toBeLessThan(3);
  for (const kind of Object.keys(after)) {
    // A worker that is joining or leaving has a socket and some timers.
    expect(after[kind] ?? 0, kind).toBeLessThanOrEqual((before[kind] ?? 0) + 16);
  }
});
