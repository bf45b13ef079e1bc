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
  /** Levels of the worker's last answers, and their median; null before the first. */
  readonly levels: number[];
  usual: number | null;
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
  /** Cosines of a step's answers, which are computed once. */
  readonly #cosines = new WeakMap<readonly AnswerMeasurement[], (number | null)[]>();
  /** Levels of answers that the coordinator has recomputed and confirmed. */
  readonly #verified: number[] = [];
  #maxLogAbove = Math.log(MAX_TIMES_ABOVE);
  #maxLogBelow = Math.log(MAX_TIMES_BELOW);
  #minCosine = MIN_COSINE;
  #maxLogLoss = Math.log(MAX_TIMES_LOSS);

  /** @returns for each answer of a step, the reason to recompute it before it is used */
  findOutliers(answers: readonly AnswerMeasurement[]): OutlierReason[] {
    const cosines = this.#cosinesOf(answers);
    const losses = lossRatios(answers);
    const peers = this.#peerLevels(answers);
    const verified = median(this.#verified);
    return answers.map(({ worker, samples, norm }, i) => {
      const level = normLevel(samples, norm);
      // Both references are needed: a majority may lie, and confirmed answers may be old.
      for (const usual of [peers.medianWithout(worker), verified]) {
        if (usual === null) continue;
        if (!(level - usual <= this.#maxLogAbove)) return 'far larger';
        if (usual - level > this.#maxLogBelow) return 'far smaller';
      }
      const cosine = cosines[i] ?? null;
      if (cosine !== null && !(cosine >= this.#minCosine)) return 'against the others';
      const loss = losses[i] ?? null;
      return loss !== null && !(loss <= this.#maxLogLoss) ? 'loss far larger' : null;
    });
  }

  /** Records the answers of a step that was applied. */
  accept(answers: readonly AnswerMeasurement[]): void {
    const cosines = this.#cosinesOf(answers);
    const losses = lossRatios(answers);
    const peers = this.#peerLevels(answers);
    const medianCosine = median(cosines.filter((cosine) => cosine !== null)) ?? 0;
    for (const [i, { worker, samples, norm }] of answers.entries()) {
      const history = this.#historyFor(worker);
      const level = normLevel(samples, norm);
      const usual = peers.medianWithout(worker);
      const cosine = cosines[i] ?? null;
      const deviation =
        (cosine === null ? 0 : Math.max(0, medianCosine - cosine)) +
        (usual === null ? 0 : Math.abs(level - usual) / this.#maxLogAbove) +
        Math.max(0, losses[i] ?? 0) / this.#maxLogLoss;
      history.suspicion = DECAY * history.suspicion + (1 - DECAY) * Math.min(2, deviation);
      pushRecent(history.levels, level);
      history.usual = median(history.levels);
    }
  }

  /**
   * Records that a recomputation has confirmed an answer.
   * @param answers all answers of the step
   */
  confirm(answer: AnswerMeasurement, answers: readonly AnswerMeasurement[]): void {
    const level = normLevel(answer.samples, answer.norm);
    const usual = this.#peerLevels(answers).medianWithout(answer.worker);
    if (usual !== null) {
      this.#maxLogAbove = Math.max(this.#maxLogAbove, LIMIT_MARGIN * (level - usual));
      this.#maxLogBelow = Math.max(this.#maxLogBelow, LIMIT_MARGIN * (usual - level));
    }
    const i = answers.indexOf(answer);
    const cosine = this.#cosinesOf(answers)[i] ?? null;
    if (cosine !== null) this.#minCosine = Math.min(this.#minCosine, LIMIT_MARGIN * cosine);
    this.#maxLogLoss = Math.max(this.#maxLogLoss, LIMIT_MARGIN * (lossRatios(answers)[i] ?? 0));
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

  /** Usual level of each worker, one value each, so that a worker with many answers has no more influence. */
  #peerLevels(answers: readonly AnswerMeasurement[]): PeerLevels {
    const levels = new Map<WorkerId, number>();
    for (const [worker, { usual }] of this.#workers) if (usual !== null) levels.set(worker, usual);
    for (const { worker, samples, norm } of answers) {
      if (!levels.has(worker)) levels.set(worker, normLevel(samples, norm));
    }
    return new PeerLevels(levels);
  }

  #cosinesOf(answers: readonly AnswerMeasurement[]): (number | null)[] {
    const cosines = this.#cosines.get(answers) ?? cosinesWithOthers(answers);
    this.#cosines.set(answers, cosines);
    return cosines;
  }

  #historyFor(worker: WorkerId): WorkerHistory {
    const history = this.#workers.get(worker) ?? { levels: [], usual: null, suspicion: 0 };
    this.#workers.set(worker, history);
    return history;
  }
}

/** Levels of all workers, sorted once for the medians of the others of each. */
class PeerLevels {
  readonly #levels: ReadonlyMap<WorkerId, number>;
  readonly #sorted: Float64Array;

  constructor(levels: ReadonlyMap<WorkerId, number>) {
    this.#levels = levels;
    this.#sorted = Float64Array.from(levels.values()).sort();
  }

  /** Median of the other workers' levels; null without any. */
  medianWithout(worker: WorkerId): number | null {
    const own = this.#levels.get(worker);
    const middle = (this.#sorted.length - (own === undefined ? 0 : 1)) >> 1;
    const isBefore = own === undefined || (this.#sorted[middle] ?? Infinity) < own;
    return this.#sorted[isBefore ? middle : middle + 1] ?? null;
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

/** For each answer, the logarithm of the ratio between its mean loss and the others'; null if there are too few samples. */
function lossRatios(answers: readonly AnswerMeasurement[]): (number | null)[] {
  const samples = answers.reduce((sum, answer) => sum + answer.samples, 0);
  // Sums from both sides: a difference from the total would lose small losses beside a huge one.
  const before = sumsBefore(answers.map(({ lossSum }) => lossSum));
  const after = sumsBefore(answers.map(({ lossSum }) => lossSum).reverse()).reverse();
  return answers.map((answer, i) => {
    const others = samples - answer.samples;
    const loss = (before[i] ?? 0) + (after[i] ?? 0);
    if (answer.samples < MIN_SAMPLES || others < MIN_SAMPLES) return null;
    // No ratio says how unusual a negative loss is.
    if (answer.lossSum < 0 || loss < 0) return null;
    // Adds 1 to both losses: for small losses, a single hard sample would make a large ratio.
    return Math.log((answer.lossSum / answer.samples + 1) / (loss / others + 1));
  });
}

/** Sum of all earlier values, for each value. */
function sumsBefore(values: readonly number[]): number[] {
  let sum = 0;
  return values.map((value) => {
    const before = sum;
    sum += value;
    return before;
  });
}

function pushRecent(levels: number[], level: number): void {
  levels.push(level);
  if (levels.length > WINDOW) levels.shift();
}
