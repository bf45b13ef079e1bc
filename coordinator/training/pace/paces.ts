import type { EngineInfo, WorkerId } from '../../../shared/protocol/messages.ts';
import { forecastMs, ThroughputEstimator, type Throughput } from './pace.ts';

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
      known = { estimator: new ThroughputEstimator(), engineGroup: engineGroupKey(engine), isOutlier: false, contraryVotes: 0 };
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
    return known === undefined || own === null || known.isOutlier ? own : (this.#estimateForGroup(known.engineGroup) ?? own);
  }

  /** The median worker's forecast; null if no pace is known. */
  medianForecastMs(samples: number): number | null {
    const forecasts = [...this.#workers.values()].flatMap(({ estimator: { throughput } }) =>
      throughput === null ? [] : [forecastMs(throughput, samples)],
    );
    return forecasts.sort((a, b) => a - b)[(forecasts.length - 1) >> 1] ?? null;
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
    const ratio = forecastMs(estimator.throughput, estimator.shardSize) / forecastMs(common, estimator.shardSize);
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
    paces.sort((a, b) => forecastMs(a, REFERENCE_SHARD_SIZE) - forecastMs(b, REFERENCE_SHARD_SIZE));
    const common = paces[(paces.length - 1) >> 1] ?? null;
    this.#groupThroughput.set(kind, common);
    return common;
  }
}

const engineGroupKey = ({ backend, version, device, threads }: EngineInfo): string =>
  JSON.stringify([backend, version, device, threads]);
