import { readSamples } from '../../shared/data/dataset.ts';
import { afterAll, describe, expect, it } from 'vitest';
import { LINK_CODECS, type LinkCodecs } from '../../coordinator/links/codecs.ts';
import { createOptimizer, type Optimizer } from '../../coordinator/optimizer/optimizer.ts';
import { batches, epochOrder } from '../../coordinator/training/sampler.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { shardBytes, viewShard, writeShard, type Shard } from '../../shared/data/shard.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { runWorker } from '../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkerReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import { relativeDifference } from '../support/vectors.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { spawnWorker, type WorkerProcess } from '../support/worker-process.ts';
import { fixedRandom } from '../support/property.ts';

const BATCH = 48;
const STEPS = 24;
const dataset = syntheticDigits({ seed: 5, trainCount: STEPS * BATCH, testCount: 60 });
const all = [...batches(epochOrder(1337, 1, dataset.train.count), BATCH)];
const started: WorkerProcess[] = [];
afterAll(() => started.forEach((worker) => worker.kill('SIGKILL')));

interface Run {
  readonly coordinator: TestCoordinator;
  readonly weights: Float32Array;
  readonly optimizer: Optimizer;
  step: number;
}

/** Starts a coordinator for the default CNN in buckets, or for a model of one layer, which is too small for several. */
async function startRun(codecs?: LinkCodecs, buckets = false): Promise<Run> {
  const topology = buckets ? undefined : tinyTopology([28, 28, 1], 10);
  const coordinator = await testCoordinator(dataset, {
    batchSize: BATCH,
    topology,
    buckets,
    ...(codecs === undefined ? {} : { codecs }),
  });
  const { job, initialWeights } = coordinator;
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(initialWeights);
  return { coordinator, weights: optimizer.weights, optimizer, step: 0 };
}

async function addProcess({ coordinator }: Run, name: string): Promise<WorkerProcess> {
  const worker = spawnWorker(coordinator.url, '--name', name);
  started.push(worker);
  await waitForWorkerReady(coordinator, name);
  return worker;
}

/** Adds a wasm worker of this process over a real socket. It records the last weights that its engine received. */
async function addRecorder({ coordinator }: Run): Promise<{ readonly weights: () => Float32Array }> {
  const engine = await wasmEngine();
  let last = new Float32Array(0);
  const recording: Engine = {
    info: engine.info,
    async load(job) {
      const computer = await engine.load(job);
      return {
        ...computer,
        setWeights(weights) {
          last = weights.slice();
          computer.setWeights(weights);
        },
      };
    },
  };
  const nothing = (): void => undefined;
  void runWorker({
    url: coordinator.url,
    name: 'recorder',
    engine: recording,
    connect: connectWebSocket,
    clock: systemClock(globalThis),
    random: fixedRandom(),
    report: { joined: nothing, computed: nothing, waiting: nothing, note: nothing },
    signal: new AbortController().signal,
  });
  await waitForWorkerReady(coordinator, 'recorder');
  return { weights: () => last };
}

/** Trains one step. @returns the sum of its gradients */
async function trainStep(run: Run): Promise<Float32Array> {
  const { coordinator, optimizer } = run;
  const samples = all[run.step]!;
  const input = { step: run.step++ as Step, batch: readSamples(dataset.train, samples), optimizer };
  const next = all[run.step];
  const { gradientSum } = await coordinator.stepRunner.run(
    input,
    next === undefined ? undefined : readSamples(dataset.train, next),
  );
  return gradientSum.slice();
}

/** @returns a function that adds the gradients of a batch's first `cut` samples and of its other samples */
async function gradientsInTwo(
  job: Job,
  weights: Float32Array,
  step: number,
): Promise<(cut: number) => Promise<Float32Array>> {
  const computer = await (await wasmEngine()).load(job);
  computer.setWeights(weights);
  const shardOf = (numbers: Uint32Array): Shard => {
    const payload = new Uint8Array(shardBytes(numbers.length, job));
    writeShard(payload, readSamples(dataset.train, numbers), job);
    return viewShard(payload, numbers.length, job);
  };
  const of = async (numbers: Uint32Array): Promise<Float32Array> => {
    const gradient = new Float32Array(weights.length);
    if (numbers.length > 0) await computer.gradient(step as Step, shardOf(numbers), gradient);
    return gradient;
  };
  return async (cut) => {
    const batch = all[step]!;
    const first = await of(batch.subarray(0, cut));
    const second = await of(batch.subarray(cut));
    return first.map((value, i) => value + second[i]!);
  };
}

const sameBits = (one: Float32Array, other: Float32Array): boolean =>
  Buffer.from(one.buffer).equals(Buffer.from(other.buffer));

describe('updates over real sockets to real workers', () => {
  it.each([
    ['in one bucket', false],
    ['in five buckets', true],
  ])(
    'leave the same bits on all workers, even if one joins or is killed within a step: %s',
    async (_, buckets) => {
      const run = await startRun({ up: 'float32', down: 'int8' }, buckets);
      const { coordinator } = run;
      await addProcess(run, 'ann');
      const bob = await addProcess(run, 'bob');
      for (let i = 0; i < 4; i++) await trainStep(run);
      const recorder = await addRecorder(run);
      for (let i = 0; i < 3; i++) await trainStep(run);
      const killed = trainStep(run);
      const gone = new Promise<void>((resolve) =>
        coordinator.pool.subscribe({ left: ({ name }) => (name === 'bob' ? resolve() : undefined) }),
      );
      bob.kill('SIGKILL');
      await killed;
      // bob may have answered before the kill.
      await gone;
      const exact = run.weights.slice();
      const at = run.step;
      const gradient = await trainStep(run);
      const shared = recorder.weights();
      const workers = [...coordinator.pool.workers.values()];
      expect(workers.map(({ name }) => name)).toEqual(['ann', 'recorder']);
      expect(workers.map(({ link }) => link.bucketOffsets.length > 1)).toEqual([buckets, buckets]);
      expect(shared).not.toEqual(exact);
      expect(relativeDifference(shared, exact)).toBeLessThan(0.01);
      await coordinator.close('done');

      // This process computes the same bits from the recorded weights, so both workers had them. How the batch was partitioned
      // depends on how fast the two were.
      const halfFirst = [BATCH / 2, ...Array.from({ length: BATCH }, (_, i) => i)];
      const alone = await gradientsInTwo(coordinator.job, shared, at);
      let isSame = false;
      for (const cut of halfFirst) isSame ||= sameBits(await alone(cut), gradient);
      expect(isSame).toBe(true);
    },
    180_000,
  );

  it('train as well as with float32', async () => {
    const scoreOf = async (name: string): Promise<{ weights: Float32Array; loss: number }> => {
      const run = await startRun(LINK_CODECS[name]);
      await addProcess(run, 'ann');
      await addProcess(run, 'bob');
      for (let i = 0; i < STEPS; i++) await trainStep(run);
      const { weights } = run;
      const input = { step: run.step as Step, weights, split: dataset.test };
      const { lossSum } = await run.coordinator.stepRunner.evaluate(input);
      await run.coordinator.close('done');
      return { weights, loss: lossSum / dataset.test.count };
    };
    const plain = await scoreOf('float32');
    for (const [name, tolerance] of [
      ['float16', 0.001],
      ['int8', 0.02],
      ['int4', 0.1],
    ] as const) {
      const { weights, loss } = await scoreOf(name);
      expect(relativeDifference(weights, plain.weights)).toBeLessThan(tolerance);
      expect(Math.abs(loss - plain.loss)).toBeLessThan(tolerance);
    }
  }, 180_000);
});

it('a step moves no more bytes than its codec needs', async () => {
  const run = await startRun(LINK_CODECS.int4);
  await addProcess(run, 'ann');
  for (let i = 0; i < 4; i++) await trainStep(run);
  const { stats } = [...run.coordinator.pool.workers.values()][0]!;
  const before = { up: stats.bytesUp, down: stats.bytesDown };
  for (let i = 0; i < 10; i++) await trainStep(run);
  const values = run.weights.length;
  const blocks = Math.ceil(values / 256);
  const headers = 400;
  expect((stats.bytesUp - before.up) / 10).toBeLessThan(values / 2 + 4 * blocks + headers);
  expect((stats.bytesDown - before.down) / 10).toBeLessThan(
    values + 4 * blocks + BATCH * (784 + 5) + headers,
  );
  await run.coordinator.close('done');
}, 180_000);
