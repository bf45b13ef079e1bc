import { afterAll, expect, test } from 'vitest';
import { CoordinatorHost, type HostedRun } from '../../coordinator/hosting/coordinator.ts';
import { prepareJob, type PreparedJob } from '../../coordinator/model/model.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';
import { readSamples } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { testSeed } from '../support/property.ts';
import { recordingReport, tinyTopology } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd, withoutTimings, type RunResult } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { spawnGradcast, spawnWorker, waitForOutput, type WorkerProcess } from '../support/worker-process.ts';

const BATCH = 96;
const STANDARD_STEPS = 12;
const dataset = syntheticDigits({ seed: 1, trainCount: 12 * BATCH - 30, testCount: 100 });
const settings = { batchSize: BATCH, epochs: 2, seed: 1337, topology: tinyTopology([28, 28, 1], 10) };
const exact = await prepareJob(dataset, { ...settings, microShard: 8 });
const standard = await prepareJob(dataset, settings);

const seed = testSeed(1);
const random = randomStream(seed, Purpose.syntheticDigits);
const clock = systemClock(globalThis);

const host = new CoordinatorHost({ maxWorkers: 16, maxRuns: 3, pageDir: 'dist/page', clock });
const port = await host.listen({ host: '127.0.0.1', port: 0 });
const url = `ws://127.0.0.1:${port}/`;

/** A process that is started again when it is killed. */
interface Place {
  readonly kind: 'relay' | 'worker';
  readonly start: () => WorkerProcess;
  process: WorkerProcess;
}
const places: Place[] = [];
const occupy = (kind: Place['kind'], start: () => WorkerProcess): Place => {
  const place = { kind, start, process: start() };
  places.push(place);
  return place;
};

async function startRelay(name: string, upstream: string): Promise<string> {
  const start = (own: string) => (): WorkerProcess =>
    spawnGradcast(['relay', upstream, '--name', name, '--host', '127.0.0.1', '--port', own]);
  const { process } = occupy('relay', start('0'));
  await waitForOutput(process, /Listening on http:\/\/127\.0\.0\.1:\d+/);
  const own = /Listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(process.output())?.[1] ?? '';
  // Its workers look for it at the same port.
  Object.assign(places.at(-1) as Place, { start: start(own) });
  return `ws://127.0.0.1:${own}/`;
}

const open = (prepared: PreparedJob): HostedRun & PreparedJob => ({
  ...host.open({ job: prepared.job, report: recordingReport(), signal: new AbortController().signal }),
  ...prepared,
});

const areReady = (run: HostedRun, count: number): Promise<void> =>
  expect.poll(() => run.pool.workers.size, { timeout: 60_000 }).toBeGreaterThanOrEqual(count);

/** Kills a process within the step that has just begun, and starts another in its place. */
const kills = { relay: 0, worker: 0 };
function killOne(kind: Place['kind']): void {
  const candidates = places.filter((place) => place.kind === kind);
  const place = candidates[random.below(candidates.length)] as Place;
  setTimeout(() => {
    place.process.kill('SIGKILL');
    kills[kind]++;
    place.process = place.start();
  }, random.below(8));
}

/** Runs an exact training, with a kill in every third step. */
function trainWithKills(run: HostedRun & PreparedJob): Promise<RunResult> {
  let step = 0;
  const stepRunner = {
    evaluate: (...evaluation: Parameters<typeof run.stepRunner.evaluate>) =>
      run.stepRunner.evaluate(...evaluation),
    async run(...input: Parameters<typeof run.stepRunner.run>) {
      const isKill = step % 3 === 2;
      if (isKill) await areReady(run, 2);
      const running = run.stepRunner.run(...input);
      if (isKill) killOne(step % 2 === 0 ? 'worker' : 'relay');
      step++;
      return running;
    },
  };
  return trainToEnd({ ...run, stepRunner } as unknown as Parameters<typeof trainToEnd>[0], dataset);
}

afterAll(async () => {
  await host.close('done');
  for (const { process } of places) process.kill('SIGKILL');
  await Promise.all(places.map(({ process }) => process.ended));
});

test('relays and workers that are killed change no bit of an exact run, and no sample of another', async () => {
  const alone = open(exact);
  const worker = attachWorker(url, 'alone', await wasmEngine());
  await areReady(alone, 1);
  const expected = await trainToEnd(alone as unknown as Parameters<typeof trainToEnd>[0], dataset);
  worker.leave();
  await worker.ended;
  alone.finish('done');

  const run = open(exact);
  const first = await startRelay('first', url);
  const second = await startRelay('second', url);
  const nested = await startRelay('nested', second);
  // The workers of the first relay know the coordinator, too.
  const homes = [first, first, first, second, nested, nested];
  for (const [i, home] of homes.entries())
    occupy('worker', () => spawnWorker(home, ...(home === first ? [url] : []), '--name', `w${i}`));
  await areReady(run, 2);
  const { weights, history, samples } = await trainWithKills(run);
  expect(samples).toEqual(expected.samples);
  expect(history.map(withoutTimings)).toEqual(expected.history.map(withoutTimings));
  expect(Buffer.from(weights.buffer).equals(Buffer.from(expected.weights.buffer))).toBe(true);
  run.finish('done');

  // The same processes join the next run, which is a standard one.
  const next = open(standard);
  await areReady(next, 2);
  const computer = await (await wasmEngine()).load(standard.job);
  const own = new Float32Array(standard.initialWeights.length);
  for (let i = 0; i < STANDARD_STEPS; i++) {
    if (i % 3 === 1) await areReady(next, 2);
    const batch = readSamples(
      dataset.train,
      Uint32Array.from({ length: BATCH }, (_, j) => (i * 31 + 7 * j) % dataset.train.count),
    );
    const weights = standard.initialWeights.map((value) => value * (1 + i / 10));
    const running = next.stepRunner.run({ step: i as Step, batch, optimizer: fixedWeights(weights) });
    if (i % 3 === 1) killOne(i % 2 === 0 ? 'relay' : 'worker');
    const { gradientSum, lossSum } = await running;
    computer.setWeights(weights);
    const whole = await computer.gradient(i as Step, batch, own);
    expect(lossSum / whole.lossSum).toBeCloseTo(1, 5);
    const errors = own.map((value, position) => Math.abs(gradientSum[position]! - value));
    expect(Math.max(...errors)).toBeLessThan(1e-5 * Math.max(...own.map(Math.abs)));
  }
  console.log(`  seed ${seed}: ${kills.relay} relays and ${kills.worker} workers killed`);
  expect(kills.relay).toBeGreaterThan(3);
  expect(kills.worker).toBeGreaterThan(3);
}, 300_000);
