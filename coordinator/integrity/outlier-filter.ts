import type { WorkerId } from '../../shared/protocol/messages.ts';
import { median } from '../../shared/util/median.ts';
import { dot } from './sampled-values.ts';

/** Values of an answer that are compared with those of other answers. */
export interface AnswerMeasurement {
  readonly worker: WorkerId;
  readonly samples: number;
  readonly lossSum: number;
  /** Euclidean norm of the whole gradient, which is a sum over the samples. */
  readonly norm: number;
  /** Values of the gradient at positions that are the same for all answers of a step. */
  readonly sampled: Float32Array;
}

/** Reason to recompute an answer before it is used; null if there is none. */
export type OutlierReason = 'far larger' | 'far smaller' | 'against the others' | 'loss far larger' | null;

interface WorkerHistory {
  /** Levels of the worker's last answers. */
  readonly levels: number[];
  /** Moving average of how unusual the answers are; 0 after a recomputation has confirmed one. */
  suspicion: number;
}

const WINDOW = 16;
/** Factor by which a norm may be above the usual one. */
const MAX_TIMES_ABOVE = 10;
/** Factor by which a norm may be below the usual one. */
const MAX_TIMES_BELOW = 1_000;
/** Minimum cosine between an answer and the sum of the others. It is negative by chance if samples are few. */
const MIN_COSINE = -0.4;
/** Factor by which a loss may be above the others'. */
const MAX_TIMES_LOSS = 4;
/** Number of samples below which direction and loss of a shard are not compared. */
const MIN_SAMPLES = 8;
/** Margin of a limit that was extended for a confirmed answer. */
const LIMIT_MARGIN = 1.25;
const DECAY = 0.85;
/** Smallest norm, so that a gradient of zeros has a logarithm. */
const MIN_NORM = 1e-30;

/**
 * Finds answers that differ from the others. Outliers are recomputed, not rejected. Levels are norms divided by the square root
 * of the samples, since the norm of a sum of n random vectors grows with the square root of n.
 */
export class OutlierFilter {
  readonly #workers = new Map<WorkerId, WorkerHistory>();
  /** Levels of answers that the coordinator has recomputed and confirmed. */
  readonly #verified: number[] = [];
  #maxLogAbove = Math.log(MAX_TIMES_ABOVE);
  #maxLogBelow = Math.log(MAX_TIMES_BELOW);
  #minCosine = MIN_COSINE;
  #maxLogLoss = Math.log(MAX_TIMES_LOSS);

  /** @returns for each answer of a step, the reason to recompute it before it is used */
  findOutliers(answers: readonly AnswerMeasurement[]): OutlierReason[] {
    const cosines = cosinesWithOthers(answers);
    return answers.map((answer, i) => this.#findOutlier(answer, answers, cosines[i] ?? null));
  }

  #findOutlier(
    answer: AnswerMeasurement,
    answers: readonly AnswerMeasurement[],
    cosine: number | null,
  ): OutlierReason {
    const peers = this.#peerLevels(answer, answers);
    const level = normLevel(answer.samples, answer.norm);
    // Both references are needed: a majority may lie, and confirmed answers may be old.
    for (const usual of [peers, this.#verified].filter(({ length }) => length > 0).map(medianLevel)) {
      if (!(level - usual <= this.#maxLogAbove)) return 'far larger';
      if (usual - level > this.#maxLogBelow) return 'far smaller';
    }
    if (cosine !== null && !(cosine >= this.#minCosine)) return 'against the others';
    const loss = lossRatio(answer, answers);
    return loss !== null && !(loss <= this.#maxLogLoss) ? 'loss far larger' : null;
  }

  /** Records the answers of a step that was applied. */
  accept(answers: readonly AnswerMeasurement[]): void {
    const cosines = cosinesWithOthers(answers);
    const medianCosine = medianLevel(cosines.filter((cosine) => cosine !== null));
    for (const [i, answer] of answers.entries()) {
      const history = this.#historyFor(answer.worker);
      const level = normLevel(answer.samples, answer.norm);
      const peers = this.#peerLevels(answer, answers);
      const cosine = cosines[i] ?? null;
      const deviation =
        (cosine === null ? 0 : Math.max(0, medianCosine - cosine)) +
        (peers.length === 0 ? 0 : Math.abs(level - medianLevel(peers)) / this.#maxLogAbove) +
        Math.max(0, lossRatio(answer, answers) ?? 0) / this.#maxLogLoss;
      history.suspicion = DECAY * history.suspicion + (1 - DECAY) * Math.min(2, deviation);
      pushRecent(history.levels, level);
    }
  }

  /**
   * Records that a recomputation has confirmed an answer.
   * @param answers all answers of the step
   */
  confirm(answer: AnswerMeasurement, answers: readonly AnswerMeasurement[]): void {
    const level = normLevel(answer.samples, answer.norm);
    const peers = this.#peerLevels(answer, answers);
    if (peers.length > 0) {
      this.#maxLogAbove = Math.max(this.#maxLogAbove, LIMIT_MARGIN * (level - medianLevel(peers)));
      this.#maxLogBelow = Math.max(this.#maxLogBelow, LIMIT_MARGIN * (medianLevel(peers) - level));
    }
    const cosine = cosinesWithOthers(answers)[answers.indexOf(answer)] ?? null;
    if (cosine !== null) this.#minCosine = Math.min(this.#minCosine, LIMIT_MARGIN * cosine);
    this.#maxLogLoss = Math.max(this.#maxLogLoss, LIMIT_MARGIN * (lossRatio(answer, answers) ?? 0));
    pushRecent(this.#verified, level);
    this.#historyFor(answer.worker).suspicion = 0;
  }

  /** Measure from 0 to 2 of how unusual a worker's last answers were. */
  suspicionOf(worker: WorkerId): number {
    return this.#workers.get(worker)?.suspicion ?? 0;
  }

  remove(worker: WorkerId): void {
    this.#workers.delete(worker);
  }

  /** Usual level of each other worker, one value each, so that a worker with many answers has no more influence. */
  #peerLevels(answer: AnswerMeasurement, answers: readonly AnswerMeasurement[]): number[] {
    const levels = new Map<WorkerId, number>();
    for (const [worker, history] of this.#workers) {
      if (history.levels.length > 0) levels.set(worker, medianLevel(history.levels));
    }
    for (const other of answers) {
      if (!levels.has(other.worker)) levels.set(other.worker, normLevel(other.samples, other.norm));
    }
    levels.delete(answer.worker);
    return [...levels.values()];
  }

  #historyFor(worker: WorkerId): WorkerHistory {
    const history = this.#workers.get(worker) ?? { levels: [], suspicion: 0 };
    this.#workers.set(worker, history);
    return history;
  }
}

const normLevel = (samples: number, norm: number): number =>
  Math.log(Math.max(MIN_NORM, norm) / Math.sqrt(samples));

/** Cosine of each answer with the sum of the others; null if there are too few samples. */
function cosinesWithOthers(answers: readonly AnswerMeasurement[]): (number | null)[] {
  const [first] = answers;
  if (first === undefined || answers.length < 2) return answers.map(() => null);
  const total = new Float64Array(first.sampled.length);
  let samples = 0;
  for (const { sampled, samples: count } of answers) {
    samples += count;
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (sampled[i] as number);
  }
  const totalSquare = dot(total, total);
  return answers.map(({ sampled, samples: count }) => {
    if (count < MIN_SAMPLES || samples - count < MIN_SAMPLES) return null;
    // The sum of the others is total - sampled; its dot products follow without computing it.
    const square = dot(sampled, sampled);
    const withTotal = dot(sampled, total);
    const squares = square * (totalSquare - 2 * withTotal + square);
    return squares > 0 ? (withTotal - square) / Math.sqrt(squares) : null;
  });
}

/** Logarithm of the ratio between an answer's mean loss and the others'; null if there are too few samples. */
function lossRatio(answer: AnswerMeasurement, answers: readonly AnswerMeasurement[]): number | null {
  const others = answers.filter((other) => other !== answer);
  const samples = others.reduce((sum, other) => sum + other.samples, 0);
  const loss = others.reduce((sum, other) => sum + other.lossSum, 0);
  if (answer.samples < MIN_SAMPLES || samples < MIN_SAMPLES) return null;
  // No ratio says how unusual a negative loss is.
  if (answer.lossSum < 0 || loss < 0) return null;
  // Adds 1 to both losses: for small losses, a single hard sample would make a large ratio.
  return Math.log((answer.lossSum / answer.samples + 1) / (loss / samples + 1));
}

function pushRecent(levels: number[], level: number): void {
  levels.push(level);
  if (levels.length > WINDOW) levels.shift();
}

const medianLevel = (levels: readonly number[]): number => median(levels) ?? 0;
