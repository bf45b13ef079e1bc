import type { Clock } from '../../shared/util/clock.ts';
import { systemClock } from '../../shared/util/clock.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { FaultyLink, LINK_FAULTS } from './faulty-links.ts';
import { roundingEngine } from './rounding-engine.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from './test-coordinator.ts';
import { attachWorker, trainToEnd, type LocalWorker, type RunResult } from './training-run.ts';

export const FAULT_RUN_STEPS = 300;
const WORKERS = 6;
const BATCH = 64;
const EPOCHS = 3;

/** Labels and no pixels: the rounding engine looks at sample numbers alone. The last batch of an epoch is a short one. */
function numberedSamples(count: number): Dataset {
  const split = (samples: number) => ({
    images: new Uint8Array(16 * samples),
    labels: new Uint8Array(samples),
    count: samples,
  });
  return {
    name: 'numbers',
    description: '',
    sampleShape: [4, 4, 1],
    classes: 10,
    train: split(count),
    test: split(100),
  };
}

const dataset = numberedSamples((BATCH * FAULT_RUN_STEPS) / EPOCHS - 27);
const settings = {
  epochs: EPOCHS,
  batchSize: BATCH,
  microShard: 8,
  topology: tinyTopology([4, 4, 1], 10),
};

/** Workers come back twenty times sooner than they would: a campaign is short. */
const acceleratedClock: Clock = {
  ...systemClock(globalThis),
  after: (ms, callback) => systemClock(globalThis).after(ms < 10_000 ? ms / 20 : ms, callback),
};

/** What nobody disturbs. */
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
  /** How often each fault struck. */
  readonly faults: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
}

/** The same with six workers, and at each step a fault that is chosen by the seed. */
export async function faultInjectionRun(seed: number): Promise<FaultRunResult> {
  const random = randomStream(seed, Purpose.syntheticDigits);
  const coordinator = await testCoordinator(dataset, settings);
  const engine = roundingEngine({ perSampleMs: 0.1 });
  const all: Promise<string>[] = [];
  const faults: Record<string, number> = {};
  let over = false;
  interface Place {
    link: FaultyLink;
    worker: LocalWorker;
  }
  const occupy = (place: number): Place => {
    const link = new FaultyLink(randomStream(seed, Purpose.syntheticDigits, 1, all.length));
    const worker = attachWorker(
      coordinator.url,
      `w${place}-${all.length}`,
      engine,
      link.connect,
      acceleratedClock,
    );
    all.push(worker.ended);
    // Whoever is refused for what the network made of its words is started again, as a person would.
    void worker.ended.then(() => {
      if (!over && places[place]?.worker === worker) places[place] = occupy(place);
    });
    return { link, worker };
  };
  const places: Place[] = [];
  for (let place = 0; place < WORKERS; place++) places[place] = occupy(place);
  await waitForWorkersReady(coordinator, WORKERS);

  const strike = (): void => {
    const place = random.below(WORKERS);
    const fault = ['kill', ...LINK_FAULTS][random.below(LINK_FAULTS.length + 1)] ?? 'kill';
    faults[fault] = (faults[fault] ?? 0) + 1;
    const { link, worker } = places[place] as Place;
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
        if (afterMs === 0) strike();
        else setTimeout(strike, afterMs);
      },
    });
    return { ...result, faults, elapsedMs: performance.now() - startedMs };
  } finally {
    over = true;
    await coordinator.close('done');
    for (const { worker } of places) worker.leave();
    await Promise.all(all);
  }
}
