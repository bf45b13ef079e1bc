import type { Worker } from '../pool/worker.ts';
import { mergePoints } from '../../shared/protocol/merge-points.ts';
import type { CurvePoint } from '../../shared/protocol/messages.ts';

/** What a worker has done lately, as people see it. */
export interface RecentActivity {
  /** Part of the last finished step that it computed, 0 to 1. */
  readonly share: number;
  /** Training samples that counted, a second; waiting included, time of evaluations left out. */
  readonly samplesPerSecond: number;
}

/** How far back 'lately' goes: long enough that single shards do not make the figure jump. */
const WINDOW_MS = 10_000;

interface SampleCounts {
  /** Training samples up to the last finished step. */
  trainedSamples: number;
  share: number;
  /** Training samples at a time of training, the oldest first. */
  readonly totals: { readonly atMs: number; readonly samples: number }[];
}

type WorkerWithStats = Pick<Worker, 'stats'>;

/** Counts what each worker does, so that shares add up to the batch and rates to the rate of the run. */
export class WorkerActivity {
  readonly #counts = new WeakMap<WorkerWithStats, SampleCounts>();
  #lastRecordedMs: number | null = null;
  /** Goes on while there are steps. */
  #trainingMs = 0;

  /** @param samples of the step that has just finished */
  stepFinished(workers: Iterable<WorkerWithStats>, samples: number): void {
    for (const worker of workers) {
      const counts = this.#getCounts(worker);
      const { trainSamples } = worker.stats;
      counts.share = Math.min(1, (trainSamples - counts.trainedSamples) / samples);
      counts.trainedSamples = trainSamples;
    }
  }

  /**
   * Notes how far each worker is; called a few times a second.
   * @param isTraining false while the run evaluates: that is no training, and no waiting either
   */
  recordProgress(workers: Iterable<WorkerWithStats>, nowMs: number, isTraining: boolean): void {
    const passedMs = nowMs - (this.#lastRecordedMs ?? nowMs);
    this.#lastRecordedMs = nowMs;
    if (!isTraining) return;
    this.#trainingMs += passedMs;
    for (const worker of workers) {
      const { totals } = this.#getCounts(worker);
      totals.push({ atMs: this.#trainingMs, samples: worker.stats.trainSamples });
      while ((totals[1]?.atMs ?? Infinity) <= this.#trainingMs - WINDOW_MS) totals.shift();
    }
  }

  get(worker: WorkerWithStats): RecentActivity {
    const { share, totals } = this.#getCounts(worker);
    const [first] = totals;
    const last = totals.at(-1);
    const elapsedMs = (last?.atMs ?? 0) - (first?.atMs ?? 0);
    const samples = (last?.samples ?? 0) - (first?.samples ?? 0);
    return { share, samplesPerSecond: elapsedMs > 0 ? (samples * 1000) / elapsedMs : 0 };
  }

  #getCounts(worker: WorkerWithStats): SampleCounts {
    const known = this.#counts.get(worker);
    if (known !== undefined) return known;
    const counts: SampleCounts = { trainedSamples: 0, share: 0, totals: [] };
    this.#counts.set(worker, counts);
    return counts;
  }
}

/**
 * Loss and accuracy over the steps of a run, in so few points that they can be sent to anybody who asks: when there are
 * too many, neighbours are merged and from then on a point stands for twice as many steps.
 */
export class TrainingCurve {
  readonly #maxPoints: number;
  #points: CurvePoint[] = [];
  #currentPoint: { samples: number; lossSum: number; correct: number; steps: number } | null = null;
  #stepsPerPoint = 1;

  /** @param most points to keep, an even number */
  constructor(most: number) {
    this.#maxPoints = most;
  }

  get points(): readonly CurvePoint[] {
    return this.#points;
  }

  /**
   * @param step from 1, counted over the whole run
   * @returns the point that this step has completed, if it has
   */
  add(step: number, samples: number, lossSum: number, correct: number): CurvePoint | null {
    const open = this.#currentPoint ?? { samples: 0, lossSum: 0, correct: 0, steps: 0 };
    this.#currentPoint = open;
    open.samples += samples;
    open.lossSum += lossSum;
    open.correct += correct;
    open.steps++;
    if (open.steps < this.#stepsPerPoint) return null;
    const { steps } = open;
    const point = { step, steps, loss: open.lossSum / open.samples, accuracy: open.correct / open.samples };
    this.#currentPoint = null;
    this.#points.push(point);
    if (this.#points.length >= this.#maxPoints) this.#merge();
    return point;
  }

  #merge(): void {
    this.#stepsPerPoint *= 2;
    this.#points = Array.from({ length: Math.floor(this.#points.length / 2) }, (_, i) =>
      mergePoints(this.#points[2 * i] as CurvePoint, this.#points[2 * i + 1] as CurvePoint),
    );
  }
}
