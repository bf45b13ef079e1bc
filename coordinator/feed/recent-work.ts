import type { Member } from '../members/member.ts';

/** What a worker has done lately, as people see it. */
export interface WorkLately {
  /** Part of the last finished step that it computed, 0 to 1. */
  readonly share: number;
  /** Training samples that counted, a second; waiting included, time of evaluations left out. */
  readonly samplesPerSecond: number;
}

/** How far back 'lately' goes: long enough that single shards do not make the figure jump. */
const WINDOW_MS = 10_000;

interface Counts {
  /** Training samples up to the last finished step. */
  trained: number;
  share: number;
  /** Training samples at a time of training, the oldest first. */
  readonly totals: { readonly atMs: number; readonly samples: number }[];
}

type Worker = Pick<Member, 'stats'>;

/** Counts what each worker does, so that shares add up to the batch and rates to the rate of the run. */
export class RecentWork {
  readonly #counts = new WeakMap<Worker, Counts>();
  #observedMs: number | null = null;
  /** Goes on while there are steps. */
  #trainingMs = 0;

  /** @param samples of the step that has just finished */
  stepFinished(workers: Iterable<Worker>, samples: number): void {
    for (const worker of workers) {
      const counts = this.#countsOf(worker);
      const { trainSamples } = worker.stats;
      counts.share = Math.min(1, (trainSamples - counts.trained) / samples);
      counts.trained = trainSamples;
    }
  }

  /**
   * Notes how far each worker is; called a few times a second.
   * @param isTraining false while the run evaluates: that is no training, and no waiting either
   */
  observe(workers: Iterable<Worker>, nowMs: number, isTraining: boolean): void {
    const passedMs = nowMs - (this.#observedMs ?? nowMs);
    this.#observedMs = nowMs;
    if (!isTraining) return;
    this.#trainingMs += passedMs;
    for (const worker of workers) {
      const { totals } = this.#countsOf(worker);
      totals.push({ atMs: this.#trainingMs, samples: worker.stats.trainSamples });
      while ((totals[1]?.atMs ?? Infinity) <= this.#trainingMs - WINDOW_MS) totals.shift();
    }
  }

  of(worker: Worker): WorkLately {
    const { share, totals } = this.#countsOf(worker);
    const [first] = totals;
    const last = totals.at(-1);
    const elapsedMs = (last?.atMs ?? 0) - (first?.atMs ?? 0);
    const samples = (last?.samples ?? 0) - (first?.samples ?? 0);
    return { share, samplesPerSecond: elapsedMs > 0 ? (samples * 1000) / elapsedMs : 0 };
  }

  #countsOf(worker: Worker): Counts {
    const known = this.#counts.get(worker);
    if (known !== undefined) return known;
    const counts: Counts = { trained: 0, share: 0, totals: [] };
    this.#counts.set(worker, counts);
    return counts;
  }
}
