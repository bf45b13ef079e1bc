import { type Shard } from '../../shared/data/shard.ts';
import { readSamples } from '../../shared/data/dataset.ts';
import type { CodecRule } from '../../coordinator/links/codecs.ts';
import { startCoordinator, type Coordinator } from '../../coordinator/hosting/coordinator.ts';
import { growHeap } from '../../coordinator/commands/run-training.ts';
import { waitForWorkers } from '../../coordinator/pool/wait-for-workers.ts';
import { prepareJob } from '../../coordinator/model/model.ts';
import { plainReporter } from '../../coordinator/report/plain.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';
import { createOptimizer, type Optimizer } from '../../coordinator/optimizer/optimizer.ts';
import type { StepInput } from '../../coordinator/training/step.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Topology } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';

/** Time for all workers to join; then one is enough. */
const JOIN_TIMEOUT_MS = 120_000;

export interface InProcessCoordinatorOptions {
  readonly workers: number;
  readonly batch: number;
  /** Number of different batches, used in turn; default 1. */
  readonly batches?: number;
  /** Size of a micro-shard, for an exact run. */
  readonly microShard?: number;
  /** Topology; by default that of the default model. */
  readonly topology?: Topology;
  /** Maximum number of workers; by default `workers`. */
  readonly maxWorkers?: number;
  /** Codecs of all links; by default float32. */
  readonly codecs?: CodecRule;
  /** Whether vectors are split into buckets, as for workers on other machines; by default not. */
  readonly buckets?: boolean;
  /** Engine that recomputes answers, as in a run; by default every worker is trusted. */
  readonly referenceEngine?: Engine;
}

/** A coordinator in this process that trains on synthetic digits. */
export interface InProcessCoordinator {
  readonly coordinator: Coordinator;
  readonly url: string;
  /** Resolves when all workers have joined. */
  readonly allWorkersReady: () => Promise<void>;
  /** Runs a whole step: gradient, optimizer, and samples of the next step. Resolves with its milliseconds. */
  readonly step: () => Promise<number>;
  /** Runs only the gradient of a step. */
  readonly gradient: () => Promise<void>;
}

export async function startInProcessCoordinator({
  workers,
  batch: batchSize,
  batches = 1,
  microShard,
  topology,
  maxWorkers = workers,
  codecs,
  buckets = false,
  referenceEngine,
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
    codecs,
    ...(referenceEngine === undefined
      ? {}
      : {
          openCoordinatorEngine: () =>
            Promise.resolve({ engine: referenceEngine, close: () => Promise.resolve() }),
        }),
    ...(buckets ? { usesBuckets: () => true } : {}),
    pageDir: 'dist/page',
    clock,
    report: plainReporter(() => undefined, clock),
    signal,
  });
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(initialWeights);
  const unchanged = fixedWeights(optimizer.weights);
  const batchOf = (turn: number): Shard =>
    readSamples(
      dataset.train,
      Uint32Array.from({ length: batchSize }, (_, i) => (turn % batches) * batchSize + i),
    );
  let taken = 0;
  const input = (applied: Optimizer): StepInput => ({
    step: taken as Step,
    batch: batchOf(taken),
    isJobData: true,
    optimizer: applied,
  });
  return {
    coordinator,
    url: coordinator.urls[0] ?? '',
    allWorkersReady: () => waitForWorkers(coordinator.pool, workers, JOIN_TIMEOUT_MS, clock, signal),
    async step() {
      const startedMs = performance.now();
      await coordinator.stepRunner.run(input(optimizer), batchOf(taken + 1));
      taken++;
      return performance.now() - startedMs;
    },
    async gradient() {
      await coordinator.stepRunner.run(input(unchanged));
      taken++;
    },
  };
}
