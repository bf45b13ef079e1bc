import { expect } from 'vitest';
import { createOptimizer, type Optimizer } from '../../coordinator/optimizer/optimizer.ts';
import { batches, epochOrder } from '../../coordinator/training/sampler.ts';
import { readSamples } from '../../shared/data/dataset.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Topology } from '../../shared/model/job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { loadDigits } from './digits.ts';
import { guidedOptimizer } from './guided-optimizer.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from './test-coordinator.ts';
import { relativeDifference } from './vectors.ts';
import { spawnGradcast, unlessEnded, type WorkerProcess } from './worker-process.ts';

/** A coordinator and its workers. */
interface Run {
  readonly coordinator: TestCoordinator;
  readonly workers: readonly WorkerProcess[];
}

export interface MixedRunOptions {
  readonly engines: readonly [string, string];
  readonly steps: number;
  readonly batchSize: number;
  /** @default the CNN */
  readonly topology?: Topology | undefined;
  /** Environment of the workers. @default that of this process */
  readonly env?: NodeJS.ProcessEnv;
}

const SEED = 1337;

/**
 * Runs some steps on a worker of each of two engines, and on one of each together, all from the same weights.
 * @returns for each step the larger difference of the mixed gradient from either engine's, relative to the norm
 */
export async function mixedRunDifferences({
  engines,
  steps,
  batchSize,
  topology,
  env = process.env,
}: MixedRunOptions): Promise<number[]> {
  const dataset = await loadDigits(steps * batchSize);
  const start = async (...names: string[]): Promise<Run> => {
    const coordinator = await testCoordinator(dataset, { seed: SEED, batchSize, topology });
    const workers = names.map((engine, i) => {
      const options = ['--workers', '1', '--engine', engine, '--name', `${engine}-${i}`];
      return spawnGradcast(['worker', coordinator.url, ...options], env);
    });
    await unlessEnded(workers, waitForWorkersReady(coordinator, names.length));
    return { coordinator, workers };
  };
  const alone = [await start(engines[0]), await start(engines[1])];
  const mixed = await start(...engines);
  const { job, initialWeights } = mixed.coordinator;
  const createStarted = (): Optimizer => {
    const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
    optimizer.weights.set(initialWeights);
    return optimizer;
  };
  const mixedOptimizer = createStarted();
  let mixedGradient: Float32Array | null = null;
  const aloneOptimizers = alone.map(() => guidedOptimizer(createStarted(), () => mixedGradient));
  const found: number[] = [];
  for (const [step, batch] of [...batches(epochOrder(SEED, 1, dataset.train.count), batchSize)].entries()) {
    const gradientOf = async ({ coordinator }: Run, optimizer: Optimizer): Promise<Float32Array> => {
      const input = { step: step as Step, batch: readSamples(dataset.train, batch), optimizer };
      return (await coordinator.stepRunner.run(input)).gradientSum.slice();
    };
    const gradient = await gradientOf(mixed, mixedOptimizer);
    mixedGradient = gradient;
    const each: number[] = [];
    for (const [i, run] of alone.entries()) {
      each.push(relativeDifference(gradient, await gradientOf(run, aloneOptimizers[i]!)));
    }
    found.push(Math.max(...each));
  }
  for (const { coordinator, workers } of [...alone, mixed]) {
    await coordinator.close('done');
    for (const worker of workers) expect(await worker.ended, worker.output()).toBe(0);
  }
  console.log(`  differences, relative to the norm: ${found.map((d) => d.toExponential(0)).join(' ')}`);
  return found;
}

const layer = (class_name: string, config: object) => ({ class_name, config });

/** Model whose gradient is continuous. */
export const smoothTopology: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'smooth',
    layers: [
      layer('Conv2D', {
        filters: 8,
        kernel_size: 3,
        activation: 'tanh',
        batch_input_shape: [null, 28, 28, 1],
      }),
      layer('Conv2D', { filters: 8, kernel_size: 3, activation: 'tanh' }),
      layer('AveragePooling2D', { pool_size: [2, 2] }),
      layer('Dropout', { rate: 0.25 }),
      layer('Flatten', {}),
      layer('Dense', { units: 10, activation: 'softmax' }),
    ],
  },
};

/** A small model whose gradient jumps: at each ReLU near zero, and where two inputs of a max-pool differ by rounding. */
export const smallCnn: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'small',
    layers: [
      layer('Conv2D', {
        filters: 4,
        kernel_size: 3,
        activation: 'relu',
        batch_input_shape: [null, 28, 28, 1],
      }),
      layer('MaxPooling2D', { pool_size: [2, 2] }),
      layer('Dropout', { rate: 0.25 }),
      layer('Flatten', {}),
      layer('Dense', { units: 16, activation: 'relu' }),
      layer('Dense', { units: 10, activation: 'softmax' }),
    ],
  },
};
