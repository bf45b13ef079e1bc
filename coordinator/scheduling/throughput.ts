import type { EngineInfo, WorkerId } from '../../shared/protocol/messages.ts';
import { lowerMedian, lowerMedianBy } from '../../shared/util/median.ts';
import type { Range } from '../../shared/util/range.ts';

/** Time of a worker's shards, from assignment to answer: perSampleMs x (samples + fixedSamples). */
export interface Throughput {
  readonly perSampleMs: number;
  /** Fixed cost of a shard (link, messages, starting the engine), as the number of samples that take the same time. */
  readonly fixedSamples: number;
}

export const forecastMs = ({ perSampleMs, fixedSamples }: Throughput, samples: number): number =>
  perSampleMs * (samples + fixedSamples);

/** Sizes that differ by less than this part count as the same size. */
const SIZE_TOLERANCE = 0.125;
/** Sizes must differ by this factor for the fixed cost to show through the noise. */
const MIN_SIZE_RATIO = 1.5;
/** Fixed cost as a part of the first size, assumed until a second size is measured. */
const INITIAL_FIXED_FRACTION = 0.1;
const MAX_FIXED_RATIO = 8;
/** Weight of one answer in the moving average. */
const SMOOTHING = 0.4;
const WINDOW = 3;

/**
 * Estimates the throughput of one worker, answer by answer. The time per sample follows medians of three answers, so that one
 * outlier changes nothing and a lasting change shows within ten answers. The fixed cost is estimated when the size of the shards
 * changes. The first answer of each size is ignored, since engines prepare for a new size.
 */
export class ThroughputEstimator {
  #throughput: Throughput | null = null;
  #answerCount = 0;
  #shardSize = 0;
  /** New size of which one answer has arrived; 0 if there is none. */
  #candidateSize = 0;
  /** Times of the last answers of the current size, the latest last. */
  #recentMs: number[] = [];
  /** Forecast for the previous size; null once it has been compared with the current size. */
  #previousSize: { readonly samples: number; readonly elapsedMs: number } | null = null;

  /** Estimate, or null until two answers of the same size have arrived. */
  get throughput(): Throughput | null {
    return this.#throughput;
  }

  /** Current size of the worker's shards; 0 before the first. */
  get shardSize(): number {
    return this.#shardSize;
  }

  /** Number of answers that the estimate is based on. */
  get answerCount(): number {
    return this.#answerCount;
  }

  record(samples: number, elapsedMs: number): void {
    if (!isSimilarSize(samples, this.#shardSize) && !this.#changeSize(samples)) return;
    this.#candidateSize = 0;
    this.#answerCount++;
    const scaledMs = (elapsedMs * this.#shardSize) / samples;
    this.#recentMs = [...this.#recentMs, scaledMs].slice(-WINDOW);
    const fixedSamples = this.#throughput?.fixedSamples ?? INITIAL_FIXED_FRACTION * this.#shardSize;
    const medianMs = lowerMedian(this.#recentMs) ?? 0;
    const measured = medianMs / (this.#shardSize + fixedSamples);
    const isSettled = this.#throughput !== null && this.#recentMs.length === WINDOW;
    const previous = this.#throughput?.perSampleMs ?? measured;
    this.#throughput = {
      perSampleMs: isSettled ? previous + SMOOTHING * (measured - previous) : measured,
      fixedSamples,
    };
    if (isSettled) this.#updateFixedCost(medianMs);
  }

  /** @returns whether the size has changed; a single shard of another size, such as an epoch's last batch, is no change */
  #changeSize(samples: number): boolean {
    if (!isSimilarSize(samples, this.#candidateSize)) {
      this.#candidateSize = samples;
      return false;
    }
    this.#previousSize =
      this.#throughput === null
        ? null
        : { samples: this.#shardSize, elapsedMs: forecastMs(this.#throughput, this.#shardSize) };
    this.#shardSize = samples;
    this.#recentMs = [];
    return true;
  }

  /** Computes the fixed cost from two sizes and their times, unless the worker's speed has changed in between. */
  #updateFixedCost(elapsedMs: number): void {
    const previous = this.#previousSize;
    const estimate = this.#throughput;
    this.#previousSize = null;
    if (previous === null || estimate === null) return;
    const size = this.#shardSize;
    const minSize = Math.min(previous.samples, size);
    const maxSize = Math.max(previous.samples, size);
    if (maxSize < MIN_SIZE_RATIO * minSize) return;
    const computed =
      (previous.elapsedMs * size - elapsedMs * previous.samples) / (elapsedMs - previous.elapsedMs);
    // An implausible result means that the worker's speed has changed, not only the size.
    if (!(computed >= -0.5 * minSize && computed <= MAX_FIXED_RATIO * maxSize)) return;
    const fixedSamples = (estimate.fixedSamples + Math.max(0, computed)) / 2;
    this.#throughput = { perSampleMs: elapsedMs / (size + fixedSamples), fixedSamples };
  }
}

const isSimilarSize = (a: number, b: number): boolean => Math.abs(a - b) <= SIZE_TOLERANCE * b;

interface TrackedWorker {
  readonly estimator: ThroughputEstimator;
  readonly engineGroup: string;
  /** Clearly slower or faster than the other workers of its group. */
  isOutlier: boolean;
  /** Number of consecutive answers that contradict `isOutlier`. */
  contraryVotes: number;
}

/** A worker becomes an outlier above the first ratio and stops being one below the second. */
const LEAVE_GROUP_RATIO = 1.25;
const REJOIN_GROUP_RATIO = 1.12;
const VOTES_TO_CHANGE = 3;
/** Number of answers before which a worker is never compared with its group. */
const MIN_ANSWERS = 8;
/** Shard size for which throughputs are compared. */
const REFERENCE_SHARD_SIZE = 32;

/**
 * Throughput of all workers. Workers with the same engine on the same device form a group and share the group's median, so that
 * noise does not change their shares. A worker that differs clearly for several answers is an outlier with an estimate of its own.
 */
export class ThroughputTracker {
  readonly #workers = new Map<WorkerId, TrackedWorker>();
  /** Medians of the groups in this step, computed when first needed. */
  readonly #groupThroughput = new Map<string, Throughput | null>();

  record(worker: WorkerId, engine: EngineInfo, samples: number, elapsedMs: number): void {
    let tracked = this.#workers.get(worker);
    if (tracked === undefined) {
      tracked = {
        estimator: new ThroughputEstimator(),
        engineGroup: engineGroupKey(engine),
        isOutlier: false,
        contraryVotes: 0,
      };
      this.#workers.set(worker, tracked);
    }
    tracked.estimator.record(samples, elapsedMs);
    this.#updateOutlier(tracked);
  }

  /** Discards the measurements of a worker. */
  reset(worker: WorkerId): void {
    this.#workers.delete(worker);
    this.#groupThroughput.clear();
  }

  /** Throughput of a worker, or null before enough answers. */
  estimateFor(worker: WorkerId): Throughput | null {
    const tracked = this.#workers.get(worker);
    const own = tracked?.estimator.throughput ?? null;
    return tracked === undefined || own === null || tracked.isOutlier
      ? own
      : (this.#estimateForGroup(tracked.engineGroup) ?? own);
  }

  /** Median of the workers' forecasts; null if no throughput is known. */
  medianForecastMs(samples: number): number | null {
    const forecasts = [...this.#workers.values()].flatMap(({ estimator: { throughput } }) =>
      throughput === null ? [] : [forecastMs(throughput, samples)],
    );
    return lowerMedian(forecasts);
  }

  /** Begins a step with these workers, and discards the measurements of all others. */
  beginStep(workers: { has(worker: WorkerId): boolean }): void {
    this.#groupThroughput.clear();
    for (const worker of this.#workers.keys()) if (!workers.has(worker)) this.#workers.delete(worker);
  }

  #updateOutlier(tracked: TrackedWorker): void {
    const { estimator, engineGroup, isOutlier } = tracked;
    const group = this.#estimateForGroup(engineGroup);
    if (estimator.throughput === null || group === null || estimator.answerCount < MIN_ANSWERS) return;
    const ratio =
      forecastMs(estimator.throughput, estimator.shardSize) / forecastMs(group, estimator.shardSize);
    const difference = Math.max(ratio, 1 / ratio);
    const isContrary = isOutlier ? difference < REJOIN_GROUP_RATIO : difference > LEAVE_GROUP_RATIO;
    tracked.contraryVotes = isContrary ? tracked.contraryVotes + 1 : 0;
    if (tracked.contraryVotes < VOTES_TO_CHANGE) return;
    tracked.isOutlier = !isOutlier;
    tracked.contraryVotes = 0;
  }

  /** Median throughput of a group's workers, without outliers. */
  #estimateForGroup(engineGroup: string): Throughput | null {
    const cached = this.#groupThroughput.get(engineGroup);
    if (cached !== undefined) return cached;
    const throughputs = [...this.#workers.values()].flatMap(({ estimator: { throughput }, ...tracked }) =>
      tracked.engineGroup === engineGroup && !tracked.isOutlier && throughput !== null ? [throughput] : [],
    );
    const median = lowerMedianBy(throughputs, (each) => forecastMs(each, REFERENCE_SHARD_SIZE));
    this.#groupThroughput.set(engineGroup, median);
    return median;
  }
}

const engineGroupKey = ({ backend, version, device, threads }: EngineInfo): string =>
  JSON.stringify([backend, version, device, threads]);

/** Adds up the times of a share that a worker was assigned as several shards: throughput is measured over the whole share. */
export class ShareTimes {
  readonly #shares = new Map<WorkerId, { samples: number; samplesLeft: number; busyMs: number }>();

  /** Begins a step with these shards, and discards the shares of the previous step. */
  beginStep(shards: readonly (Range & { readonly worker: WorkerId })[]): void {
    this.#shares.clear();
    for (const { worker, from, to } of shards) {
      const share = this.#shares.get(worker) ?? { samples: 0, samplesLeft: 0, busyMs: 0 };
      share.samples += to - from;
      share.samplesLeft += to - from;
      this.#shares.set(worker, share);
    }
  }

  /** Number of samples in the worker's share of this step; 0 if it has none. */
  shareSamples(worker: WorkerId): number {
    return this.#shares.get(worker)?.samples ?? 0;
  }

  /** @returns samples and time of the whole share; null while answers of the share are missing */
  record(worker: WorkerId, samples: number, busyMs: number): { samples: number; busyMs: number } | null {
    const share = this.#shares.get(worker);
    // The shard is not part of the worker's share, or belongs to an earlier step.
    if (share === undefined || samples > share.samplesLeft) return { samples, busyMs };
    share.samplesLeft -= samples;
    share.busyMs += busyMs;
    return share.samplesLeft === 0 ? share : null;
  }
}

/** Deadline before the first answer, while engines are still warming up. */
const INITIAL_DEADLINE_MS = 180_000;
const MIN_DEADLINE_MS = 30_000;
const DEADLINE_FACTOR = 10;
const DEADLINE_DECAY = 0.95;

/** Time after which a worker that has not answered a shard is dropped: a multiple of the longest recent time. */
export class ShardDeadline {
  #longestMs: number | null = null;

  record(elapsedMs: number): void {
    this.#longestMs = Math.max(elapsedMs, (this.#longestMs ?? 0) * DEADLINE_DECAY);
  }

  get timeoutMs(): number {
    return this.#longestMs === null
      ? INITIAL_DEADLINE_MS
      : Math.max(MIN_DEADLINE_MS, DEADLINE_FACTOR * this.#longestMs);
  }
}
