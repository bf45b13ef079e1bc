import { sampleBytes } from '../../shared/model/tensors.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { median } from '../../shared/util/median.ts';
import { factoredKernel } from '../../shared/codec/factors.ts';
import { bucketOffsets } from '../weights/bucket-offsets.ts';
import type { PayloadShape } from '../links/cost-model.ts';
import { findCutRange, wholeRanges } from '../optimizer/whole-gradient.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { TrainingListener } from '../report/reporter.ts';
import { describeBottleneck, type MeasuredWorker } from './bottleneck.ts';
import type { Worker } from '../pool/worker.ts';
import { FLOAT32_LINK } from '../links/codecs.ts';

export interface BottleneckReporterOptions {
  readonly job: Job;
  readonly pool: Pick<WorkerPool, 'workers'>;
  readonly clock: Clock;
  /** Receives the advice once, at the end of the first epoch for which there is any. */
  readonly onAdvice: (sentence: string) => void;
}

/** Number of steps with the same workers that advice needs. */
export const MIN_STEPS = 300;
/** If the medians of three parts of these steps differ by more than this factor, the run is still changing. */
const MAX_DRIFT = 1.15;

/** Measures the steps of a run. Once a few hundred steps agree, it reports what limits them and what would help. */
export class BottleneckReporter implements TrainingListener {
  readonly #options: BottleneckReporterOptions;
  readonly #payloadShape: PayloadShape;
  /** See MeasuredRun. */
  readonly #wholeGradientFor: string | null;
  /** Durations of the last MIN_STEPS steps with these workers. */
  readonly #stepsMs: number[] = [];
  /** Time that each of these steps waited for its samples. */
  readonly #dataWaitsMs: number[] = [];
  #workers: readonly WorkerId[] = [];
  #lastMs: number | null = null;
  #isReported = false;

  constructor(options: BottleneckReporterOptions) {
    this.#options = options;
    const layout = layoutOf(options.job.layout);
    const { microShard, optimizer } = options.job;
    const offsets = microShard === undefined ? bucketOffsets(layout) : [0];
    this.#payloadShape = {
      values: layout.length,
      kernel: factoredKernel(layout),
      bucketCount: offsets.length - 1,
    };
    this.#wholeGradientFor = findCutRange(wholeRanges(optimizer, layout.slices), offsets)?.reason ?? null;
  }

  epochStarted(): void {
    this.#lastMs = null;
  }

  stepFinished({ batch, dataWaitMs }: Parameters<TrainingListener['stepFinished']>[0]): void {
    const nowMs = this.#options.clock.now();
    if (this.#haveWorkersChanged()) {
      this.#stepsMs.length = 0;
      this.#dataWaitsMs.length = 0;
    }
    // The last batch of an epoch is often smaller.
    else if (this.#lastMs !== null && batch.samples === this.#options.job.batchSize) {
      this.#stepsMs.push(nowMs - this.#lastMs);
      this.#dataWaitsMs.push(dataWaitMs);
      if (this.#stepsMs.length > MIN_STEPS) {
        this.#stepsMs.shift();
        this.#dataWaitsMs.shift();
      }
    }
    this.#lastMs = nowMs;
  }

  epochFinished(): void {
    if (this.#isReported) return;
    const { advice } = this;
    if (advice === null) return;
    this.#isReported = true;
    this.#options.onAdvice(advice);
  }

  /** Advice in a few sentences; null if there is none yet. */
  get advice(): string | null {
    const { job, pool } = this.#options;
    const stepMs = stableMedian(this.#stepsMs);
    const workers = [...pool.workers.values()].flatMap((worker) => measureWorker(worker) ?? []);
    if (stepMs === null || workers.length === 0) return null;
    const payloadShape = this.#payloadShape;
    return describeBottleneck({
      stepMs,
      dataWaitMs: median(this.#dataWaitsMs) ?? 0,
      workers,
      batchSize: job.batchSize,
      payloadShape,
      sampleBytes: sampleBytes(job),
      wholeGradientFor: this.#wholeGradientFor,
    });
  }

  #haveWorkersChanged(): boolean {
    const workers = [...this.#options.pool.workers.values()]
      .filter(({ isStandby }) => !isStandby)
      .map(({ id }) => id);
    const isSame =
      workers.length === this.#workers.length && workers.every((id, i) => id === this.#workers[i]);
    this.#workers = workers;
    return !isSame;
  }
}

/** Median of MIN_STEPS steps; null before, and if an earlier part of them differs from a later one. */
function stableMedian(stepsMs: readonly number[]): number | null {
  if (stepsMs.length < MIN_STEPS) return null;
  const third = MIN_STEPS / 3;
  const thirds = [0, 1, 2].map((i) => median(stepsMs.slice(i * third, (i + 1) * third)) ?? 0);
  return Math.max(...thirds) > MAX_DRIFT * Math.min(...thirds) ? null : median(stepsMs);
}

/** Costs of a link without measurements: it is within one machine. */
const LOCAL_LINK = { rttMs: 0, downMsPerByte: 0, upMsPerByte: 0 };

/** Measurements of a worker's last training shards; null for a worker on standby, and before its first shards. */
export function measureWorker(worker: Worker): MeasuredWorker | null {
  const { name, link, isStandby } = worker;
  const { codec, updateCodec, meter } = link;
  const { shard } = meter;
  if (isStandby || shard === null) return null;
  const { samples, turnaroundMs, computeMs } = shard;
  const { rttMs, downMsPerByte, upMsPerByte } = meter.stats ?? LOCAL_LINK;
  return {
    name,
    samples,
    turnaroundMs,
    perSampleMs: computeMs / samples,
    fixedMs: 0,
    rttMs,
    downMsPerByte,
    upMsPerByte,
    codecs: { up: codec, down: updateCodec ?? FLOAT32_LINK.down },
    gradientReadyAt: 1,
    acceptsBuckets: link.bucketOffsets.length > 1,
  };
}
