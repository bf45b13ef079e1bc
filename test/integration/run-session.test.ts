import { readSamples } from '../../shared/data/dataset.ts';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { CoordinatorHost, type HostedRun } from '../../coordinator/hosting/coordinator.ts';
import { prepareJob } from '../../coordinator/model/model.ts';
import { withCoordinator, type RunSessionOptions } from '../../coordinator/commands/run-session.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { stubEngine } from '../support/stub-engine.ts';
import { recordingReport, tinyTopology } from '../support/test-coordinator.ts';
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { fixedRandom } from '../support/property.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 64, testCount: 16 });
const batch = Uint32Array.from({ length: 64 }, (_, i) => i);
const clock = systemClock(globalThis);
const nothing = (): void => undefined;
const silent = { joined: nothing, computed: nothing, waiting: nothing, note: nothing };

/** Starts a run whose local workers are a Node script. */
async function run(
  script: readonly string[],
  work: (run: HostedRun, weights: Float32Array) => Promise<unknown>,
  more: Partial<Pick<RunSessionOptions, 'onOpen' | 'clock' | 'interrupt' | 'coordinator' | 'isOver'>> = {},
): Promise<unknown> {
  const { job, initialWeights } = await prepareJob(dataset, {
    batchSize: 64,
    epochs: 1,
    seed: 1,
    topology: tinyTopology([28, 28, 1], 10),
  });
  return withCoordinator(
    {
      job,
      clock,
      onOpen: () => undefined,
      host: '0.0.0.0',
      port: 0,
      engine: 'wasm',
      workers: 1,
      report: recordingReport(),
      interrupt: { signal: new AbortController().signal },
      program: {
        command: [process.execPath, ...script],
        pageDir: 'dist/page',
        openCoordinatorEngine: () => Promise.reject(new Error('This test has no engine of its own')),
      },
      ...more,
    },
    (hosted) => work(hosted, initialWeights),
  );
}

const NAN_WORKER = [fileURLToPath(new URL('../support/nan-worker.js', import.meta.url))];

test('a run ends as diverged if its local worker sends only NaN', async () => {
  const training = run(NAN_WORKER, ({ stepRunner }, weights) =>
    stepRunner.run({
      step: 3 as Step,
      batch: readSamples(dataset.train, batch),
      optimizer: fixedWeights(weights),
    }),
  );
  await expect(training).rejects.toThrow('Training diverged: at step 3 no worker gets a finite gradient.');
  const evaluation = run(NAN_WORKER, ({ stepRunner }, weights) =>
    stepRunner.evaluate({ step: 3 as Step, weights, split: dataset.test }),
  );
  await expect(evaluation).rejects.toThrow('Training diverged: at step 3 no worker gets a finite loss.');
});

test('a run without a step left has its local workers, which measure its model', async () => {
  const evaluation = run(
    NAN_WORKER,
    ({ stepRunner }, weights) => stepRunner.evaluate({ step: 3 as Step, weights, split: dataset.test }),
    { isOver: () => true },
  );
  // The worker's answer has arrived.
  await expect(evaluation).rejects.toThrow('Training diverged: at step 3 no worker gets a finite loss.');
});

test('a run notices that its local workers have ended before their connections are closed', async () => {
  const leave = new AbortController();
  let worker: Promise<unknown> = Promise.resolve();
  let ended: string | null = null;
  const train = async ({ stepRunner }: HostedRun, weights: Float32Array): Promise<void> => {
    const optimizer = fixedWeights(weights);
    const batchOf = (step: number) => ({ step: step as Step, batch: readSamples(dataset.train, batch), optimizer }); // prettier-ignore
    try {
      for (let step = 0; ; step++) await stepRunner.run(batchOf(step));
    } catch (error) {
      ended = (error as Error).message;
      throw error;
    }
  };
  const training = run(['-e', ''], train, {
    onOpen({ urls }) {
      worker = runWorker({
        url: urls[0] ?? '',
        name: 'late',
        engine: stubEngine({ perSampleMs: 0, tamper: (value) => value }),
        connect: connectWebSocket,
        clock,
        random: fixedRandom(),
        signal: leave.signal,
        report: silent,
      });
    },
    clock: {
      now: () => clock.now(),
      after(delayMs, callback) {
        // The run gives the connections of ended workers this time to close.
        if (delayMs === 1_000) leave.abort();
        return clock.after(delayMs, callback);
      },
    },
  });
  await expect(training).rejects.toThrow('The workers on this machine have ended: no output');
  expect(ended).toBe('The workers on this machine have ended: no output');
  await worker;
});

test('a run on an existing coordinator ends when its local workers have left, and its page is served on', async () => {
  const coordinator = new CoordinatorHost({ clock, maxWorkers: 4, pageDir: 'dist/page' });
  let left = 0;
  const finish = ({ pool }: HostedRun): Promise<string> => {
    pool.subscribe({ left: () => left++ });
    return Promise.resolve('trained');
  };
  expect(await run(NAN_WORKER, finish, { coordinator })).toBe('trained');
  expect(left).toBe(1);
  const [url = ''] = coordinator.urls;
  const page = url.replace('ws:', 'http:');
  expect((await fetch(page)).status).toBe(200);
  expect(coordinator.workerCount).toBe(0);
  await coordinator.close('done');
  await expect(fetch(page)).rejects.toThrow();
});
