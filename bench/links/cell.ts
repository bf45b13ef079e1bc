import { readSamples } from '../../shared/data/dataset.ts';
import { startCoordinator, type CoordinatorOptions } from '../../coordinator/hosting/coordinator.ts';
import { growHeap } from '../../coordinator/commands/run-training.ts';
import { waitForWorkers } from '../../coordinator/pool/wait-for-workers.ts';
import type { PreparedJob } from '../../coordinator/model/model.ts';
import { plainReporter } from '../../coordinator/report/plain.ts';
import { codecLabel } from '../../coordinator/links/codecs.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { systemClock } from '../../shared/util/clock.ts';
import type { StoredDataset } from '../../shared/data/dataset.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { median } from '../support/statistics.ts';
import { coordinatorRate, type LinkShape, type LinkWorkerConfig } from './shape.ts';

/** A worker process of the bench; see worker.ts. */
export interface LinkWorker {
  /** Runs the worker with this configuration. Resolves at the end of the run. */
  readonly run: (config: LinkWorkerConfig) => Promise<unknown>;
}

export interface CellOptions {
  readonly prepared: PreparedJob;
  readonly dataset: StoredDataset;
  readonly batch: number;
  readonly link: LinkShape;
  readonly codecs: CoordinatorOptions['codecs'];
  readonly workers: readonly LinkWorker[];
  readonly host: string;
  /** True if the links have rates; otherwise the workers' transport limits the rate. */
  readonly shapedOutside: boolean;
  readonly perSampleMs: number;
  readonly firstBucketAt: number;
  /** First steps that are not counted. @default by the codecs */
  readonly warmUpSteps?: number;
  readonly verbose: boolean;
}

/** Measurements of a run's steps. */
export interface Cell {
  /** Median time of a step. */
  readonly stepMs: number;
  /** Bytes per worker and step. */
  readonly upBytes: number;
  readonly downBytes: number;
  /** Sum of the computation, the transfer of all bytes, and two delays. */
  readonly serialMs: number;
  /** The larger of computation and transfer, as if they overlapped completely. */
  readonly overlappedMs: number;
  /** Codecs of the workers at the end. */
  readonly codecs: string;
}

/** First steps that are not counted: lossy codecs begin with whole weights, and `auto` chooses codecs after some steps. */
const WARM_UP = 2;
const WARM_UP_AUTO = 7;
const MIN_STEPS = 3;
const MAX_STEPS = 40;
const MIN_MEASURED_MS = 2_000;

export async function runCell(options: CellOptions): Promise<Cell> {
  growHeap();
  const { prepared, dataset, batch: batchSize, link, workers, perSampleMs } = options;
  const clock = systemClock(globalThis);
  const { signal } = new AbortController();
  const job = { ...prepared.job, batchSize };
  const coordinator = await startCoordinator({
    job,
    host: options.host,
    port: 0,
    maxWorkers: workers.length,
    codecs: options.codecs,
    usesBuckets: () => true,
    switchesCodecs: () => true,
    pageDir: 'dist/page',
    clock,
    report: plainReporter((line) => (options.verbose ? console.error(`    ${line}`) : undefined), clock),
    signal,
  });
  const ended = workers.map(({ run }) =>
    run({
      url: `ws://${options.host}:${coordinator.port}`,
      delayMs: link.delayMs,
      bitsPerSecond: options.shapedOutside ? null : link.bitsPerSecond,
      perSampleMs,
      firstBucketAt: options.firstBucketAt,
    }),
  );
  await waitForWorkers(coordinator.pool, workers.length, 60_000, clock, signal);
  const joined = [...coordinator.pool.workers.values()];
  const bytes = (): { up: number; down: number } => ({
    up: joined.reduce((sum, { stats }) => sum + stats.bytesUp, 0),
    down: joined.reduce((sum, { stats }) => sum + stats.bytesDown, 0),
  });

  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(prepared.initialWeights);
  const batches = Math.floor(dataset.train.count / batchSize);
  const samplesOf = (turn: number): Uint32Array =>
    Uint32Array.from({ length: batchSize }, (_, i) => (turn % batches) * batchSize + i);
  const times: number[] = [];
  const stalls = new StallDetector();
  const warmUp = options.warmUpSteps ?? (options.codecs === 'auto' ? WARM_UP_AUTO : WARM_UP);
  let steps = 0;
  let step = 0;
  let before = bytes();
  for (
    let measuredMs = 0;
    times.length < MIN_STEPS || (measuredMs < MIN_MEASURED_MS && times.length < MAX_STEPS);
  ) {
    const startedMs = performance.now();
    const stallsBefore = stalls.count;
    await coordinator.stepRunner.run(
      { step: step as Step, batch: readSamples(dataset.train, samplesOf(step)), optimizer },
      readSamples(dataset.train, samplesOf(step + 1)),
    );
    const elapsedMs = performance.now() - startedMs;
    if (options.verbose) console.error(`    step ${step}: ${elapsedMs.toFixed(0)} ms`);
    if (++step === warmUp) before = bytes();
    if (step <= warmUp) continue;
    steps++;
    if (stalls.count > stallsBefore) continue;
    times.push(elapsedMs);
    measuredMs += elapsedMs;
  }
  const after = bytes();
  stalls.close();
  const each = steps * workers.length;
  const codecs = [...new Set(joined.map(({ link }) => codecLabel(link)))];
  await coordinator.close('done');
  await Promise.all(ended);
  const upBytes = (after.up - before.up) / each;
  const downBytes = (after.down - before.down) / each;
  const sharedRate = coordinatorRate(link);
  const passMs = (n: number): number =>
    8_000 * Math.max(n / link.bitsPerSecond, (n * workers.length) / sharedRate);
  const computeMs = (perSampleMs * batchSize) / workers.length;
  return {
    stepMs: median(times),
    upBytes,
    downBytes,
    serialMs: computeMs + passMs(upBytes) + passMs(downBytes) + 2 * link.delayMs,
    overlappedMs: Math.max(computeMs, passMs(upBytes), passMs(downBytes)),
    codecs: codecs.join(' '),
  };
}

const STALL_CHECK_MS = 50;
/** Minimum length of a stall. The bench itself never blocks this thread for so long. */
const MIN_STALL_MS = 300;

/** Detects stalls of the whole process, so that steps with a stall can be left out. */
export class StallDetector {
  #count = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => this.#check(), STALL_CHECK_MS).unref();

  /** Number of stalls so far. */
  get count(): number {
    this.#check();
    return this.#count;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastMs > MIN_STALL_MS) this.#count++;
    this.#lastMs = nowMs;
  }
}
