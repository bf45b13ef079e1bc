import { startCoordinator, type Coordinator } from '../../coordinator/coordinator.ts';
import { growHeap } from '../../coordinator/training/run-training.ts';
import { waitForWorkers } from '../../coordinator/training/run-session.ts';
import { prepareJob } from '../../coordinator/model/model.ts';
import { plainReporter } from '../../coordinator/report/plain.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import type { GradientOptions } from '../../coordinator/training/step.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Topology } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';

export interface InProcessCoordinatorOptions {
  readonly workers: number;
  readonly batch: number;
  /** As many batches as take turns; what is in them makes no difference to the time. */
  readonly batches?: number;
  /** Of an exact run. */
  readonly microShard?: number;
  /** The default model's without. */
  readonly topology?: Topology;
  /** For workers; as many as there are, without. */
  readonly maxWorkers?: number;
}

/** A coordinator in this process, in training on drawn digits. */
export interface InProcessCoordinator {
  readonly coordinator: Coordinator;
  readonly url: string;
  /** Until all workers are there. */
  readonly allWorkersReady: () => Promise<void>;
  /** A whole step: gradient, optimizer, the next one's samples sent ahead; in milliseconds. */
  readonly step: () => Promise<number>;
  /** A step's gradient alone. */
  readonly gradient: () => Promise<void>;
}

export async function startInProcessCoordinator({
  workers,
  batch: batchSize,
  batches = 1,
  microShard,
  topology,
  maxWorkers = workers,
}: InProcessCoordinatorOptions): Promise<InProcessCoordinator> {
  growHeap();
  const clock = systemClock(globalThis);
  const { signal } = new AbortController();
  const dataset = syntheticDigits({ seed: 1, trainCount: batches * batchSize, testCount: 10 });
  const { job, initialWeights } = await prepareJob(dataset, {
    batchSize,
    epochs: 1,
    seed: 1,
    microShard,
    ...(topology === undefined ? {} : { topology }),
  });
  const coordinator = await startCoordinator({
    job,
    host: '127.0.0.1',
    port: 0,
    maxWorkers,
    pageDir: 'dist/page',
    clock,
    report: plainReporter(() => undefined, clock),
    signal,
  });
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights, gradientSum: into } = optimizer.resident;
  weights.set(initialWeights);
  const samplesOf = (turn: number): Uint32Array =>
    Uint32Array.from({ length: batchSize }, (_, i) => (turn % batches) * batchSize + i);
  let taken = 0;
  const take = async (options: (next: Uint32Array) => GradientOptions): Promise<void> => {
    const input = { step: taken as Step, weights, split: dataset.train };
    await coordinator.stepRunner.gradient(input, samplesOf(taken), options(samplesOf(taken + 1)));
    taken++;
  };
  return {
    coordinator,
    url: coordinator.urls[0] ?? '',
    allWorkersReady: () => waitForWorkers(coordinator.pool, workers, 60_000, clock, signal),
    async step() {
      const startedMs = performance.now();
      await take((next) => ({
        nextSamples: next,
        sumBuffer: into,
        onBucketSummed: (gradientSum, part) => optimizer.step(weights, gradientSum, batchSize, part),
      }));
      return performance.now() - startedMs;
    },
    gradient: () => take(() => ({})),
  };
}
