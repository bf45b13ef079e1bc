import { startCoordinator, type CoordinatorOptions } from '../../coordinator/coordinator.ts';
import { growHeap } from '../../coordinator/training/run-training.ts';
import { waitForWorkers } from '../../coordinator/training/run-session.ts';
import type { PreparedJob } from '../../coordinator/model/model.ts';
import { plainReporter } from '../../coordinator/report/plain.ts';
import { codecLabel } from '../../coordinator/links/codecs.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { systemClock } from '../../shared/util/clock.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { median } from '../support/statistics.ts';
import { coordinatorRate, type LinkShape, type LinkWorkerConfig } from './shape.ts';

/** Somebody who takes orders; see worker.ts. */
export interface LinkWorker {
  /** @returns when the run is over */
  readonly work: (order: LinkWorkerConfig) => Promise<unknown>;
}

export interface CellOptions {
  readonly prepared: PreparedJob;
  readonly dataset: Dataset;
  readonly batch: number;
  readonly link: LinkShape;
  readonly codecs: CoordinatorOptions['codecs'];
  readonly workers: readonly LinkWorker[];
  readonly host: string;
  /** Whether the links have rates of their own; else the workers slow themselves down. */
  readonly shapedOutside: boolean;
  readonly perSampleMs: number;
  readonly firstBucketAt: number;
  readonly verbose: boolean;
}

/** What was seen of a run's steps. */
export interface Cell {
  /** Median of the steps. */
  readonly stepMs: number;
  /** Of each worker and step. */
  readonly upBytes: number;
  readonly downBytes: number;
  /** Compute, all bytes one after the other, and two delays. */
  readonly serialMs: number;
  /** The larger of computation and bytes, as if everything could overlap. */
  readonly overlappedMs: number;
  /** How the workers' vectors travelled at the end. */
  readonly codecs: string;
}

/** Not counted: lossy codecs begin with whole weights; those that are chosen are chosen after some steps. */
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
  const weights = prepared.initialWeights.slice();
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
  const ended = workers.map(({ work }) =>
    work({
      url: `ws://${options.host}:${coordinator.port}`,
      delayMs: link.delayMs,
      bitsPerSecond: options.shapedOutside ? null : link.bitsPerSecond,
      perSampleMs,
      firstBucketAt: options.firstBucketAt,
    }),
  );
  await waitForWorkers(coordinator.pool, workers.length, 60_000, clock, signal);
  const members = [...coordinator.pool.workers.values()];
  const bytes = (): { up: number; down: number } => ({
    up: members.reduce((sum, { stats }) => sum + stats.bytesUp, 0),
    down: members.reduce((sum, { stats }) => sum + stats.bytesDown, 0),
  });

  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const batches = Math.floor(dataset.train.count / batchSize);
  const samplesOf = (turn: number): Uint32Array =>
    Uint32Array.from({ length: batchSize }, (_, i) => (turn % batches) * batchSize + i);
  const times: number[] = [];
  const pauses = new StallDetector();
  const warmUp = options.codecs === 'auto' ? WARM_UP_AUTO : WARM_UP;
  let steps = 0;
  let step = 0;
  let before = bytes();
  for (
    let measuredMs = 0;
    times.length < MIN_STEPS || (measuredMs < MIN_MEASURED_MS && times.length < MAX_STEPS);
  ) {
    const [startedMs, pausesBefore] = [performance.now(), pauses.count];
    await coordinator.stepRunner.gradient(
      { step: step as Step, weights, split: dataset.train },
      samplesOf(step),
      {
        nextSamples: samplesOf(step + 1),
        onBucketSummed: (gradientSum, part) => optimizer.step(weights, gradientSum, batchSize, part),
      },
    );
    const elapsedMs = performance.now() - startedMs;
    if (options.verbose) console.error(`    step ${step}: ${elapsedMs.toFixed(0)} ms`);
    if (++step === warmUp) before = bytes();
    if (step <= warmUp) continue;
    steps++;
    if (pauses.count > pausesBefore) continue;
    times.push(elapsedMs);
    measuredMs += elapsedMs;
  }
  const after = bytes();
  pauses.close();
  const each = steps * workers.length;
  const codecs = [...new Set(members.map(codecLabel))];
  await coordinator.close('done');
  await Promise.all(ended);
  const [upBytes, downBytes] = [(after.up - before.up) / each, (after.down - before.down) / each];
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
/** Nothing here keeps this thread for so long: the machine was busy with something else. */
const MIN_STALL_MS = 300;

/** Notices when the whole process stood still, so that what was measured meanwhile can be left out. */
export class StallDetector {
  #count = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => this.#check(), STALL_CHECK_MS).unref();

  /** So far. */
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
