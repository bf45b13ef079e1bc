import type { EngineInfo, WorkerId } from '../../shared/protocol/messages.ts';
import { lowerMedian, lowerMedianBy } from '../../shared/util/median.ts';

/** How long shards take a worker, from their giving to their answer: perSampleMs x (samples + fixedSamples). */
export interface Throughput {
  readonly perSampleMs: number;
  /** What does not depend on the shard (link, messages, starting the engine), as the samples that take as long. */
  readonly fixedSamples: number;
}

export const forecastMs = ({ perSampleMs, fixedSamples }: Throughput, samples: number): number =>
  perSampleMs * (samples + fixedSamples);

/** Sizes that differ by less than this part are one size. */
const SIZE_TOLERANCE = 0.125;
/** Sizes that differ by less than this factor say nothing about the fixed cost beyond the noise. */
const MIN_SIZE_RATIO = 1.5;
/** What is assumed to be fixed before two sizes were seen, of the first one. */
const INITIAL_FIXED_FRACTION = 0.1;
const MAX_FIXED_RATIO = 8;
/** What one answer counts. */
const SMOOTHING = 0.4;
const WINDOW = 3;

/**
 * Learns the pace of one worker, answer by answer. The level follows medians of three answers, so that one hiccup changes
 * nothing and a lasting change is followed within ten; the fixed part is learnt where the size of the shards changes. The
 * first answer at a size is not looked at: it pays for what engines build for a size.
 */
export class ThroughputEstimator {
  #throughput: Throughput | null = null;
  #answerCount = 0;
  #shardSize = 0;
  /** A size that was seen once. */
  #candidateSize = 0;
  /** Lately, at this size; the last comes last. */
  #recentMs: number[] = [];
  /** How the size before went, until it has been compared with this one. */
  #previousSize: { readonly samples: number; readonly elapsedMs: number } | null = null;

  /** null until two answers of one size have come. */
  get throughput(): Throughput | null {
    return this.#throughput;
  }

  /** Of the shards of late; 0 before the first. */
  get shardSize(): number {
    return this.#shardSize;
  }

  /** Answers that the pace was made of. */
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
    const settled = this.#throughput !== null && this.#recentMs.length === WINDOW;
    const old = this.#throughput?.perSampleMs ?? measured;
    this.#throughput = { perSampleMs: settled ? old + SMOOTHING * (measured - old) : measured, fixedSamples };
    if (settled) this.#learnFixedCost(medianMs);
  }

  /** @returns whether the size is another from now on: once is no change, such as an epoch's last batch */
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

  /** Two sizes and their times give the fixed part, unless the level has changed in between. */
  #learnFixedCost(elapsedMs: number): void {
    const before = this.#previousSize;
    const old = this.#throughput;
    this.#previousSize = null;
    if (before === null || old === null) return;
    const [n1, t1, n2, t2] = [before.samples, before.elapsedMs, this.#shardSize, elapsedMs];
    if (Math.max(n1, n2) < MIN_SIZE_RATIO * Math.min(n1, n2)) return;
    const found = (t1 * n2 - t2 * n1) / (t2 - t1);
    // Out of proportion in either direction: not the size has made the difference.
    if (!(found >= -0.5 * Math.min(n1, n2) && found <= MAX_FIXED_RATIO * Math.max(n1, n2))) return;
    const fixedSamples = (old.fixedSamples + Math.max(0, found)) / 2;
    this.#throughput = { perSampleMs: elapsedMs / (n2 + fixedSamples), fixedSamples };
  }
}

const isSimilarSize = (a: number, b: number): boolean => Math.abs(a - b) <= SIZE_TOLERANCE * b;

interface TrackedWorker {
  readonly estimator: ThroughputEstimator;
  readonly engineGroup: string;
  /** Clearly slower or faster than the others of its kind. */
  isOutlier: boolean;
  /** How many answers in a row say the opposite. */
  contraryVotes: number;
}

/** A worker leaves its kind when it differs so much, and comes back when it differs less than that. */
const LEAVE_GROUP_RATIO = 1.25;
const REJOIN_GROUP_RATIO = 1.12;
const VOTES_TO_CHANGE = 3;
/** Before so many answers nobody is judged. */
const MIN_ANSWERS = 8;
/** Paces are compared by shards of this size. */
const REFERENCE_SHARD_SIZE = 32;

/**
 * The paces of all workers. Those with the same engine on the same device are one kind and have one pace, the median's,
 * until one is clearly different for several answers: noise must not decide who gets how much.
 */
export class ThroughputTracker {
  readonly #workers = new Map<WorkerId, TrackedWorker>();
  /** Of each kind, since the last step. */
  readonly #groupThroughput = new Map<string, Throughput | null>();

  record(worker: WorkerId, engine: EngineInfo, samples: number, elapsedMs: number): void {
    let known = this.#workers.get(worker);
    if (known === undefined) {
      known = {
        estimator: new ThroughputEstimator(),
        engineGroup: engineGroupKey(engine),
        isOutlier: false,
        contraryVotes: 0,
      };
      this.#workers.set(worker, known);
    }
    known.estimator.record(samples, elapsedMs);
    this.#updateGroup(known);
  }

  /** What was learnt of this worker does not hold any more. */
  reset(worker: WorkerId): void {
    this.#workers.delete(worker);
    this.#groupThroughput.clear();
  }

  /** null until enough is known of this worker. */
  estimateFor(worker: WorkerId): Throughput | null {
    const known = this.#workers.get(worker);
    const own = known?.estimator.throughput ?? null;
    return known === undefined || own === null || known.isOutlier
      ? own
      : (this.#estimateForGroup(known.engineGroup) ?? own);
  }

  /** The median worker's forecast; null if no pace is known. */
  medianForecastMs(samples: number): number | null {
    const forecasts = [...this.#workers.values()].flatMap(({ estimator: { throughput } }) =>
      throughput === null ? [] : [forecastMs(throughput, samples)],
    );
    return lowerMedian(forecasts);
  }

  /** A new step begins, with these workers; everybody else is forgotten. */
  beginStep(workers: { has(worker: WorkerId): boolean }): void {
    this.#groupThroughput.clear();
    for (const worker of this.#workers.keys()) if (!workers.has(worker)) this.#workers.delete(worker);
  }

  #updateGroup(known: TrackedWorker): void {
    const { estimator, engineGroup, isOutlier } = known;
    const common = this.#estimateForGroup(engineGroup);
    if (estimator.throughput === null || common === null || estimator.answerCount < MIN_ANSWERS) return;
    const ratio =
      forecastMs(estimator.throughput, estimator.shardSize) / forecastMs(common, estimator.shardSize);
    const difference = Math.max(ratio, 1 / ratio);
    const contrary = isOutlier ? difference < REJOIN_GROUP_RATIO : difference > LEAVE_GROUP_RATIO;
    known.contraryVotes = contrary ? known.contraryVotes + 1 : 0;
    if (known.contraryVotes < VOTES_TO_CHANGE) return;
    known.isOutlier = !isOutlier;
    known.contraryVotes = 0;
  }

  /** The median's of those that are not apart. */
  #estimateForGroup(kind: string): Throughput | null {
    const held = this.#groupThroughput.get(kind);
    if (held !== undefined) return held;
    const paces = [...this.#workers.values()].flatMap(({ estimator: { throughput }, ...known }) =>
      known.engineGroup === kind && !known.isOutlier && throughput !== null ? [throughput] : [],
    );
    const common = lowerMedianBy(paces, (pace) => forecastMs(pace, REFERENCE_SHARD_SIZE));
    this.#groupThroughput.set(kind, common);
    return common;
  }
}

const engineGroupKey = ({ backend, version, device, threads }: EngineInfo): string =>
  JSON.stringify([backend, version, device, threads]);
