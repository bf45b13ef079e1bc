import { readSamples } from '../../shared/data/dataset.ts';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';
import { createOptimizer, type Optimizer } from '../../coordinator/optimizer/optimizer.ts';
import { batches, epochOrder } from '../../coordinator/training/sampler.ts';
import type { StoredDataset } from '../../shared/data/dataset.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { loadDigits } from '../support/digits.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { relativeDifference } from '../support/vectors.ts';
import { spawnWorker, type WorkerProcess } from '../support/worker-process.ts';
import { testSeed } from '../support/property.ts';

const STEPS = 60;
const SEED = 1337;

interface StepResult {
  readonly gradient: Float32Array;
  readonly lossSum: number;
  readonly metrics: readonly number[];
}

let dataset: StoredDataset;
let order: Uint32Array[];
/** Results of one worker alone, by step. */
const reference: StepResult[] = [];
let coordinator: TestCoordinator;
let workers: WorkerProcess[] = [];

/**
 * Trains steps 0 to 59 of the default CNN and updates the weights with the gradients of the reference. Two free runs would
 * diverge by rounding alone, but gradients at the same weights can be compared.
 */
async function trainAlong(
  beforeStep: (step: number) => void,
  onStep: (step: number, result: StepResult) => void,
) {
  const { job, stepRunner } = coordinator;
  const own = createOptimizer(job.optimizer, layoutOf(job.layout));
  own.weights.set(coordinator.initialWeights);
  for (const [step, samples] of order.entries()) {
    beforeStep(step);
    const optimizer = withGradient(own, reference[step]?.gradient);
    const next = order[step + 1];
    const result = await stepRunner.run(
      { step: step as Step, batch: readSamples(dataset.train, samples), optimizer },
      next === undefined ? undefined : readSamples(dataset.train, next),
    );
    onStep(step, { ...result, gradient: result.gradientSum });
  }
}

/** An optimizer that applies this gradient in place of the one that was summed, which it leaves in a vector of its own. */
function withGradient(optimizer: Optimizer, gradient: Float32Array | undefined): Optimizer {
  return {
    ...fixedWeights(optimizer.weights),
    get committedWeights() {
      return optimizer.committedWeights;
    },
    gradientSum: new Float32Array(optimizer.weights.length),
    state: optimizer.state,
    begin: () => optimizer.begin(),
    apply(step, range) {
      optimizer.gradientSum.set(gradient ?? this.gradientSum);
      optimizer.apply(step, range);
    },
    commit: () => optimizer.commit(),
    rollback: () => optimizer.rollback(),
  };
}

async function start(count: number, buckets = false): Promise<void> {
  coordinator = await testCoordinator(dataset, { seed: SEED, buckets });
  workers = Array.from({ length: count }, (_, i) => spawnWorker(coordinator.url, '--name', `w${i}`));
  await waitForWorkersReady(coordinator, count);
}

function compare(step: number, result: StepResult): void {
  const expected = reference[step]!;
  expect(relativeDifference(result.gradient, expected.gradient), `step ${step}`).toBeLessThan(1e-5);
  expect(Math.abs(result.lossSum - expected.lossSum) / expected.lossSum).toBeLessThan(1e-5);
  expect(result.metrics).toEqual(expected.metrics);
}

beforeAll(async () => {
  dataset = await loadDigits(STEPS * 128);
  order = [...batches(epochOrder(SEED, 1, dataset.train.count), 128)];
  await start(1);
  const keep = (_: number, result: StepResult): void =>
    void reference.push({ ...result, gradient: result.gradient.slice() });
  await trainAlong(() => undefined, keep);
  await stop();
}, 180_000);

async function stop(): Promise<void> {
  await coordinator.close('done');
  // Workers that have not joined yet would keep reconnecting.
  for (const worker of workers) worker.kill('SIGTERM');
  await Promise.all(workers.map(({ ended }) => ended));
}
afterEach(stop);

test.each([
  [2, 'one bucket', false],
  [3, 'two buckets', true],
  [5, 'one bucket', false],
])(
  '%i workers together compute the gradient of one worker, at each of 60 steps, in %s',
  async (count, _, buckets) => {
    await start(count, buckets);
    await trainAlong(() => undefined, compare);
  },
  180_000,
);

test('workers that are killed and added at random moments compute the gradient of one worker', async () => {
  await start(3, true);
  const random = randomStream(testSeed(1), Purpose.syntheticDigits);
  let kills = 0;
  const timers: NodeJS.Timeout[] = [];
  await trainAlong((step) => {
    if (step % 5 !== 2) return;
    // At a random moment of the step, before or after its answers.
    const replaceWorker = (): void => {
      const [victim] = workers.splice(random.below(workers.length), 1);
      victim?.kill('SIGKILL');
      kills++;
      workers.push(spawnWorker(coordinator.url, '--name', `later-${step}`));
    };
    timers.push(setTimeout(replaceWorker, random.below(150)));
  }, compare);
  timers.forEach(clearTimeout);
  expect(kills).toBeGreaterThanOrEqual(10);
}, 240_000);
