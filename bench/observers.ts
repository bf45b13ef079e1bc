// Measures the cost of observers: alternating blocks of steps without and with observers. First with workers that compute
// nothing, so that a step waits only for the coordinator, which is the harder case, then with one real worker.
// Arguments: [observers = 200] [steps per block = 60] [blocks = 8]
import { prepareJob } from '../coordinator/model/model.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { forkEntry, nextMessage, spawnWorker } from './support/children.ts';
import { startInProcessCoordinator, type InProcessCoordinator } from './support/in-process-coordinator.ts';
import { median, spread } from './support/statistics.ts';

const BATCH = 128;
const observers = Number(process.argv[2] ?? 200);
const steps = Number(process.argv[3] ?? 60);
const turns = Number(process.argv[4] ?? 8);
const dataset = syntheticDigits({ seed: 1, trainCount: BATCH, testCount: 10 });
const { initialWeights } = await prepareJob(dataset, { batchSize: BATCH, epochs: 1, seed: 1 });
const all = turns * 2 * steps;

/** Runs a block of steps and reports them to the feed, as in training. @returns milliseconds per step */
async function block({ coordinator, step }: InProcessCoordinator, from: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = from; i < from + steps; i++) {
    times.push(await step());
    coordinator.feed.stepFinished({
      epoch: 1,
      step: i,
      steps: all,
      loss: 1,
      metrics: { accuracy: 0.5 },
      samplesPerSecond: 1,
      workers: 1,
      batch: { samples: BATCH, lossSum: 1, metrics: [1] },
      dataWaitMs: 0,
      weights: { step: i as Step, source: { averagedWeights: initialWeights } },
    });
  }
  return times;
}

async function compare(name: string, here: InProcessCoordinator): Promise<void> {
  await here.allWorkersReady();
  await block(here, 0);
  const without: number[] = [];
  const watched: number[] = [];
  const ratios: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const alone = await block(here, turn * 2 * steps);
    const child = forkEntry('observers', [here.url, String(observers)]);
    await nextMessage(child);
    const seen = await block(here, (turn * 2 + 1) * steps);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await ended;
    without.push(...alone);
    watched.push(...seen);
    ratios.push(median(seen) / median(alone));
  }
  console.log(
    `${name}: ${spread(without)} ms per step without observers, ${spread(watched)} with ${observers}; ` +
      `x ${median(ratios).toFixed(3)} within a pair of blocks`,
  );
  await here.coordinator.close('done');
}

const idle = await startInProcessCoordinator({ workers: 2, batch: BATCH });
const nulls = [0, 1].map(() => forkEntry('null-worker', [idle.url]));
await compare('workers that compute nothing', idle);
for (const child of nulls) child.kill();

const real = await startInProcessCoordinator({ workers: 1, batch: BATCH });
const worker = spawnWorker(real.url, 'wasm');
await compare('a WebAssembly worker', real);
worker.kill();
process.exit(0);
