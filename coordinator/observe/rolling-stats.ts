import type { Worker } from '../pool/worker.ts';
import { addScores, type Score, type Scoring } from '../../shared/model/scoring.ts';
import { mergePoints } from '../../shared/protocol/merge-points.ts';
import type { CurvePoint } from '../../shared/protocol/messages.ts';

/** Recent work of a worker, for display. */
export interface RecentActivity {
  /** Part of the last finished step that the worker computed, 0 to 1. */
  readonly share: number;
  /** Accepted training samples a second, waiting times included, evaluations excluded. */
  readonly samplesPerSecond: number;
}

/** Long enough that single shards hardly change the rate. */
const WINDOW_MS = 10_000;

interface SampleCounts {
  /** Training samples up to the last finished step. */
  trainedSamples: number;
  share: number;
  /** Totals of training samples over time, the oldest first. */
  readonly totals: { readonly atMs: number; readonly samples: number }[];
}

type WorkerWithStats = Pick<Worker, 'stats'>;

/** Measures each worker's work: the shares add up to the batch, and the rates to the rate of the run. */
export class WorkerActivity {
  readonly #counts = new WeakMap<WorkerWithStats, SampleCounts>();
  #lastRecordedMs: number | null = null;
  /** Clock that stands still during evaluations. */
  #trainingMs = 0;

  /** @param samples size of the step's batch */
  stepFinished(workers: Iterable<WorkerWithStats>, samples: number): void {
    for (const worker of workers) {
      const counts = this.#getCounts(worker);
      const { trainSamples } = worker.stats;
      counts.share = Math.min(1, (trainSamples - counts.trainedSamples) / samples);
      counts.trainedSamples = trainSamples;
    }
  }

  /**
   * Records the total of each worker; called a few times a second.
   * @param isTraining false during an evaluation, which counts neither as training nor as waiting
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
    const existing = this.#counts.get(worker);
    if (existing !== undefined) return existing;
    const counts: SampleCounts = { trainedSamples: 0, share: 0, totals: [] };
    this.#counts.set(worker, counts);
    return counts;
  }
}

/**
 * Loss and metrics over the steps of a run, in few enough points to send all of them to each new observer. When there are
 * too many points, neighbors are merged, and each new point covers twice as many steps.
 */
export class TrainingCurve {
  readonly #maxPoints: number;
  #points: CurvePoint[] = [];
  #currentPoint: { samples: number; score: Score; steps: number } | null = null;
  readonly #scoring: Scoring;
  #stepsPerPoint = 1;

  /** @param maxPoints an even number */
  constructor(maxPoints: number, scoring: Scoring) {
    this.#scoring = scoring;
    this.#maxPoints = maxPoints;
  }

  get points(): readonly CurvePoint[] {
    return this.#points;
  }

  /**
   * Adds a step.
   * @param step number of the step in the whole run, from 1
   * @returns the point that this step completes, or null
   */
  add(step: number, samples: number, score: Score): CurvePoint | null {
    const open = this.#currentPoint ?? { samples: 0, score: this.#scoring.zero, steps: 0 };
    this.#currentPoint = open;
    open.samples += samples;
    open.score = addScores(open.score, score);
    open.steps++;
    if (open.steps < this.#stepsPerPoint) return null;
    const { steps } = open;
    const metrics = this.#scoring.values(open.score, open.samples);
    const point = { step, steps, loss: open.score.lossSum / open.samples, metrics };
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
