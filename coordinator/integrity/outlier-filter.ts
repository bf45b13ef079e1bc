import type { WorkerId } from '../../shared/protocol/messages.ts';
import { median } from '../../shared/util/median.ts';
import { dot } from './sampled-values.ts';

/** What is looked at of an answer. */
export interface AnswerMeasurement {
  readonly worker: WorkerId;
  readonly samples: number;
  readonly lossSum: number;
  /** Euclidean, of the whole gradient: a sum over the samples. */
  readonly norm: number;
  /** Some of the gradient's values; the same positions in all answers of a step. */
  readonly sampled: Float32Array;
}

/** Why an answer must not count before it is recomputed; null if it may. */
export type OutlierReason = 'far larger' | 'far smaller' | 'against the others' | 'loss far larger' | null;

interface WorkerHistory {
  /** Levels of its last answers. */
  readonly levels: number[];
  /** Grows with answers unlike the others', fades with answers like them; 0 after a recomputation has confirmed one. */
  suspicion: number;
}

const WINDOW = 16;
/** Factors by which a norm may be above or below the usual one. */
const MAX_TIMES_ABOVE = 10;
const MAX_TIMES_BELOW = 1_000;
/** Cosine between an answer and the sum of the others; honest ones are against it by chance, where samples are few. */
const MIN_COSINE = -0.4;
const MAX_TIMES_LOSS = 4;
/** Shards with fewer samples say nothing by their direction or their loss. */
const MIN_SAMPLES = 8;
/** A recomputed honest answer widens a limit to what it was, and this much more. */
const SLACK = 1.25;
const DECAY = 0.85;
/** A gradient of nothing is as small as they come. */
const MIN_NORM = 1e-30;

/**
 * Looks for answers that are unlike the others'. It accuses no worker: what it finds is recomputed. Norms grow with the root
 * of the samples, since the sum of n vectors that point anywhere does.
 */
export class OutlierFilter {
  readonly #workers = new Map<WorkerId, WorkerHistory>();
  /** Levels that the coordinator has computed itself. */
  readonly #verified: number[] = [];
  #timesAbove = Math.log(MAX_TIMES_ABOVE);
  #timesBelow = Math.log(MAX_TIMES_BELOW);
  #cosine = MIN_COSINE;
  #timesLoss = Math.log(MAX_TIMES_LOSS);

  /** @returns for each answer of a step why it must be recomputed before it counts, in the same order */
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
    // Both count: neither a majority that lies nor a step long ago alone says what is usual.
    for (const usual of [peers, this.#verified].filter(({ length }) => length > 0).map(medianLevel)) {
      if (!(level - usual <= this.#timesAbove)) return 'far larger';
      if (usual - level > this.#timesBelow) return 'far smaller';
    }
    if (cosine !== null && !(cosine >= this.#cosine)) return 'against the others';
    const loss = lossRatio(answer, answers);
    return loss !== null && !(loss <= this.#timesLoss) ? 'loss far larger' : null;
  }

  /** The answers of a step have counted. */
  accept(answers: readonly AnswerMeasurement[]): void {
    const cosines = cosinesWithOthers(answers);
    const middle = medianLevel(cosines.filter((cosine) => cosine !== null));
    for (const [i, answer] of answers.entries()) {
      const history = this.#historyFor(answer.worker);
      const level = normLevel(answer.samples, answer.norm);
      const peers = this.#peerLevels(answer, answers);
      const cosine = cosines[i] ?? null;
      const oddity =
        (cosine === null ? 0 : Math.max(0, middle - cosine)) +
        (peers.length === 0 ? 0 : Math.abs(level - medianLevel(peers)) / this.#timesAbove) +
        Math.max(0, lossRatio(answer, answers) ?? 0) / this.#timesLoss;
      history.suspicion = DECAY * history.suspicion + (1 - DECAY) * Math.min(2, oddity);
      pushRecent(history.levels, level);
    }
  }

  /**
   * A recomputation has confirmed an answer.
   * @param answers of its step
   */
  confirm(answer: AnswerMeasurement, answers: readonly AnswerMeasurement[]): void {
    const level = normLevel(answer.samples, answer.norm);
    const peers = this.#peerLevels(answer, answers);
    if (peers.length > 0) {
      this.#timesAbove = Math.max(this.#timesAbove, SLACK * (level - medianLevel(peers)));
      this.#timesBelow = Math.max(this.#timesBelow, SLACK * (medianLevel(peers) - level));
    }
    const cosine = cosinesWithOthers(answers)[answers.indexOf(answer)] ?? null;
    if (cosine !== null) this.#cosine = Math.min(this.#cosine, SLACK * cosine);
    this.#timesLoss = Math.max(this.#timesLoss, SLACK * (lossRatio(answer, answers) ?? 0));
    pushRecent(this.#verified, level);
    this.#historyFor(answer.worker).suspicion = 0;
  }

  /** How unlike the others' a worker's last answers were: 0 to 2. */
  suspicionOf(worker: WorkerId): number {
    return this.#workers.get(worker)?.suspicion ?? 0;
  }

  remove(worker: WorkerId): void {
    this.#workers.delete(worker);
  }

  /** What is usual of every other worker, one figure each, however many answers it has given. */
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

/** Cosine of each answer with the sum of the others'; null where that says nothing. */
function cosinesWithOthers(answers: readonly AnswerMeasurement[]): (number | null)[] {
  const [first] = answers;
  if (first === undefined || answers.length < 2) return answers.map(() => null);
  const total = new Float64Array(first.sampled.length);
  let samples = 0;
  for (const { sampled, samples: ofThis } of answers) {
    samples += ofThis;
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (sampled[i] as number);
  }
  const totalSquare = dot(total, total);
  return answers.map(({ sampled, samples: ofThis }) => {
    if (ofThis < MIN_SAMPLES || samples - ofThis < MIN_SAMPLES) return null;
    // The others are the total without this one: no vector of their sum is needed.
    const [square, withTotal] = [dot(sampled, sampled), dot(sampled, total)];
    const squares = square * (totalSquare - 2 * withTotal + square);
    return squares > 0 ? (withTotal - square) / Math.sqrt(squares) : null;
  });
}

/** Logarithm of an answer's loss for each sample by the others'; null where that says nothing. */
function lossRatio(answer: AnswerMeasurement, answers: readonly AnswerMeasurement[]): number | null {
  const others = answers.filter((other) => other !== answer);
  const samples = others.reduce((sum, other) => sum + other.samples, 0);
  const loss = others.reduce((sum, other) => sum + other.lossSum, 0);
  if (answer.samples < MIN_SAMPLES || samples < MIN_SAMPLES) return null;
  // One nat each: where losses are small, a single hard sample makes a large ratio.
  return Math.log((answer.lossSum / answer.samples + 1) / (loss / samples + 1));
}

function pushRecent(levels: number[], level: number): void {
  levels.push(level);
  if (levels.length > WINDOW) levels.shift();
}

const medianLevel = (levels: readonly number[]): number => median(levels) ?? 0;
