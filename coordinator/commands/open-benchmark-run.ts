import { benchmarkJob } from '../../shared/engine/benchmark-job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { startCoordinator } from '../hosting/coordinator.ts';
import { createOptimizer } from '../optimizer/optimizer.ts';
import { startLocalWorkers } from '../pool/local-workers.ts';
import { waitForWorkers } from '../pool/wait-for-workers.ts';
import { plainReporter } from '../report/plain.ts';
import { growHeap } from './run-training.ts';

export interface BenchmarkRunOptions {
  /** Workers in processes of their own, and engine threads of each. */
  readonly workers: number;
  readonly threads: number;
  /** Samples of a step. */
  readonly batch: number;
  /** Program and first arguments that run gradcast. */
  readonly command: readonly [string, ...string[]];
}

/**
 * Opens a run of the default CNN on noise with WebAssembly workers of this machine, to time its steps: with sockets, sums, optimizer and
 * weights, which cost more for many workers than for one with many threads.
 * @returns a function that runs one step; the run lasts as long as this process
 * @throws Error if the workers end, or do not join
 */
export async function openBenchmarkRun(options: BenchmarkRunOptions): Promise<() => Promise<void>> {
  const { workers, threads, batch, command } = options;
  growHeap();
  const { job, weights, shard } = benchmarkJob(batch);
  const clock = systemClock(globalThis);
  const stop = new AbortController();
  const { signal } = stop;
  const report = plainReporter(() => undefined, clock);
  const { pool, stepRunner, urls } = await startCoordinator({
    ...{ job, clock, report, signal },
    host: '127.0.0.1',
    port: 0,
    maxWorkers: workers,
    pageDir: '',
  });
  const local = startLocalWorkers({
    count: workers,
    command,
    url: urls[0] ?? '',
    engine: 'wasm',
    threads,
    onLine: () => undefined,
  });
  const ended = local.exited.then((line) => {
    stop.abort();
    throw new Error(`the measured workers have ended: ${line}`);
  });
  await Promise.race([waitForWorkers(pool, workers, null, clock, signal), ended]);
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(weights);
  let step = 0;
  return async () => {
    const input = { step: step++ as Step, batch: shard, isJobData: true, optimizer };
    await Promise.race([stepRunner.run(input, shard), ended]);
  };
}
