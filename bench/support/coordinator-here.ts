import { startCoordinator, type Coordinator } from '../../coordinator/coordinator.ts';
import { growHeap } from '../../coordinator/heap.ts';
import { waitForWorkers } from '../../coordinator/members/wait-for-workers.ts';
import { prepareJob } from '../../coordinator/model.ts';
import { plainReport } from '../../coordinator/report/plain-report.ts';
import { createOptimizer } from '../../coordinator/training/optimizer.ts';
import type { GradientOptions } from '../../coordinator/training/round-runner.ts';
import { clockOf } from '../../shared/clock.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import type { Topology } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';

export interface CoordinatorHereOptions {
  readonly workers: number;
  readonly batch: number;
  /** As many batches as take turns; what is in them makes no difference to the time. */
  readonly batches?: number;
  /** Of an exact run. */
  readonly microShard?: number;
  /** The default model's without. */
  readonly topology?: Topology;
  /** For workers; as many as there are, without. */
  readonly places?: number;
}

/** A coordinator in this process, in training on drawn digits. */
export interface CoordinatorHere {
  readonly coordinator: Coordinator;
  readonly url: string;
  /** Until all workers are there. */
  readonly complete: () => Promise<void>;
  /** A whole step: gradient, optimizer, the next one's samples sent ahead; in milliseconds. */
  readonly step: () => Promise<number>;
  /** A step's gradient alone. */
  readonly gradient: () => Promise<void>;
}

export async function coordinatorHere({
  workers,
  batch,
  batches = 1,
  microShard,
  topology,
  places = workers,
}: CoordinatorHereOptions): Promise<CoordinatorHere> {
  growHeap();
  const clock = clockOf(globalThis);
  const { signal } = new AbortController();
  const dataset = drawDigits({ seed: 1, trainCount: batches * batch, testCount: 10 });
  const { job, initialWeights } = await prepareJob(dataset, {
    batchSize: batch,
    epochs: 1,
    seed: 1,
    microShard,
    ...(topology === undefined ? {} : { topology }),
  });
  const coordinator = await startCoordinator({
    job,
    host: '127.0.0.1',
    port: 0,
    maxWorkers: places,
    pageDir: 'dist/page',
    clock,
    report: plainReport(() => undefined, clock),
    signal,
  });
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights, gradientSum: into } = optimizer.resident;
  weights.set(initialWeights);
  const samplesOf = (turn: number): Uint32Array =>
    Uint32Array.from({ length: batch }, (_, i) => (turn % batches) * batch + i);
  let taken = 0;
  const take = async (options: (next: Uint32Array) => GradientOptions): Promise<void> => {
    const input = { step: taken as Step, weights, split: dataset.train };
    await coordinator.rounds.gradient(input, samplesOf(taken), options(samplesOf(taken + 1)));
    taken++;
  };
  return {
    coordinator,
    url: coordinator.urls[0] ?? '',
    complete: () => waitForWorkers(coordinator.pool, workers, 60_000, clock, signal),
    async step() {
      const startedMs = performance.now();
      await take((next) => ({
        next,
        into,
        onSummed: (gradientSum, part) => optimizer.step(weights, gradientSum, batch, part),
      }));
      return performance.now() - startedMs;
    },
    gradient: () => take(() => ({})),
  };
}
