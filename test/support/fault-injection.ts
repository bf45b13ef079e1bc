import type { Clock } from '../../shared/util/clock.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { type Dataset, imageDataset } from '../../shared/data/dataset.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { FaultyLink, LINK_FAULTS } from './faulty-links.ts';
import { roundingEngine } from './rounding-engine.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from './test-coordinator.ts';
import { attachWorker, trainToEnd, type LocalWorker, type RunResult } from './training-run.ts';

export const FAULT_RUN_STEPS = 300;
const WORKERS = 6;
const BATCH = 64;
const EPOCHS = 3;

/** Samples without pixels, since the rounding engine reads only sample numbers. The last batch of an epoch is short. */
function numberedSamples(count: number): Dataset {
  const split = (samples: number) => ({
    images: new Uint8Array(16 * samples),
    labels: new Uint8Array(samples),
    count: samples,
  });
  return imageDataset({
    name: 'numbers',
    description: '',
    sampleShape: [4, 4, 1],
    classes: 10,
    train: split(count),
    test: split(100),
  });
}

const dataset = numberedSamples((BATCH * FAULT_RUN_STEPS) / EPOCHS - 27);
const settings = {
  epochs: EPOCHS,
  batchSize: BATCH,
  microShard: 8,
  topology: tinyTopology([4, 4, 1], 10),
};

/** Clock with which workers reconnect twenty times sooner, to shorten the run. */
const acceleratedClock: Clock = {
  ...systemClock(globalThis),
  after: (ms, callback) => systemClock(globalThis).after(ms < 10_000 ? ms / 20 : ms, callback),
};

/** Runs the training on one worker without faults. */
export async function referenceRun(): Promise<RunResult> {
  const coordinator = await testCoordinator(dataset, settings);
  const worker = attachWorker(coordinator.url, 'alone', roundingEngine());
  await waitForWorkersReady(coordinator, 1);
  try {
    return await trainToEnd(coordinator, dataset);
  } finally {
    await coordinator.close('done');
    await worker.ended;
  }
}

export interface FaultRunResult extends RunResult {
  /** Number of injections of each fault. */
  readonly faults: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
}

/** Runs the same training on six workers, with a fault at each step. The seed chooses the faults. */
export async function faultInjectionRun(seed: number): Promise<FaultRunResult> {
  const random = randomStream(seed, Purpose.syntheticDigits);
  const coordinator = await testCoordinator(dataset, settings);
  const engine = roundingEngine({ perSampleMs: 0.1 });
  const all: Promise<string>[] = [];
  const faults: Record<string, number> = {};
  let isOver = false;
  interface Slot {
    link: FaultyLink;
    worker: LocalWorker;
  }
  const occupy = (slot: number): Slot => {
    const link = new FaultyLink(randomStream(seed, Purpose.syntheticDigits, 1, all.length));
    const worker = attachWorker(
      coordinator.url,
      `w${slot}-${all.length}`,
      engine,
      link.connect,
      acceleratedClock,
    );
    all.push(worker.ended);
    // A worker whose frame was corrupted on the way may be rejected for good; a user would start it again.
    void worker.ended.then(() => {
      if (!isOver && slots[slot]?.worker === worker) slots[slot] = occupy(slot);
    });
    return { link, worker };
  };
  const slots: Slot[] = [];
  for (let slot = 0; slot < WORKERS; slot++) slots[slot] = occupy(slot);
  await waitForWorkersReady(coordinator, WORKERS);

  const injectFault = (): void => {
    const slot = random.below(WORKERS);
    const fault = ['kill', ...LINK_FAULTS][random.below(LINK_FAULTS.length + 1)] ?? 'kill';
    faults[fault] = (faults[fault] ?? 0) + 1;
    const { link, worker } = slots[slot] as Slot;
    if (fault === 'kill') {
      link.kill();
      worker.leave();
    } else link.inject(fault as (typeof LINK_FAULTS)[number]);
  };
  const startedMs = performance.now();
  try {
    const result = await trainToEnd(coordinator, dataset, {
      beforeStep: () => {
        const afterMs = random.below(5);
        if (afterMs === 0) injectFault();
        else setTimeout(injectFault, afterMs);
      },
    });
    return { ...result, faults, elapsedMs: performance.now() - startedMs };
  } finally {
    isOver = true;
    await coordinator.close('done');
    for (const { worker } of slots) worker.leave();
    await Promise.all(all);
  }
}
