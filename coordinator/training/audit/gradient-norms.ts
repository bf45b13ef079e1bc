import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { Range } from '../../../shared/range.ts';

/** Answers that are remembered: a few for each worker, and of the last steps alone, since norms change as a model learns. */
const RECENT = 64;
/** From others; fewer say nothing. */
const LEAST = 16;
/**
 * How far above its peers' median a norm is doubtful: by this factor, or by so many standard deviations of the norms'
 * logarithms, whichever is more.
 */
const TIMES = 10;
const DEVIATIONS = 6;
/** The standard deviation of a normal distribution by its median absolute deviation. */
const SIGMA_BY_MAD = 1.4826;
/** Two that made the same of some samples are within this factor; codecs and engines round. */
const ALIKE = 2;

interface Recent {
  readonly worker: WorkerId;
  /** Logarithm of the norm of a sum of gradients, by the root of its samples: the sum of n that point anywhere grows so. */
  readonly level: number;
}

/** A worker that found something else of some samples than what counted. */
export interface Odd {
  readonly worker: WorkerId;
  readonly norm: number;
  /** How many others' norms were much smaller; of two that differ nobody can tell who is wrong. */
  readonly peers: number;
}

interface Opinion extends Odd {
  /** Whether the norm is of all values. */
  readonly whole: boolean;
}

/**
 * Doubts gradients that are much larger than those of other workers. A doubtful one is no lie yet: samples may be odd. It does
 * not count before somebody else has found the like.
 */
export class GradientNorms {
  readonly #recent: Recent[] = [];
  /** What was found of doubtful shards, by their range. */
  readonly #opinions = new Map<string, Opinion[]>();

  /** A step begins. */
  begin(): void {
    this.#opinions.clear();
  }

  /**
   * Whether a gradient may count. If not, it is kept as an opinion, and the shard needs another.
   * @param worker who computed it
   * @param range its samples
   * @param norm of the sum over its samples
   * @param whole whether it is of all values, or of those that have come
   */
  mayCount(worker: WorkerId, range: Range, norm: number, whole = true): boolean {
    const level = levelOf(range, norm);
    // Nearly always: what is not far above the least of the others' is not far above their median.
    if (!this.#recent.some((other) => other.worker !== worker && level > other.level + Math.log(TIMES)))
      return true;
    const opinions = this.#opinions.get(keyOf(range)) ?? [];
    // Whoever is asked again is asked because nobody else is there.
    if (opinions.some((opinion) => opinion.worker === worker || alike(opinion.norm, norm))) return true;
    const others = this.#recent.filter((recent) => recent.worker !== worker);
    if (
      !isDoubtful(
        level,
        others.map(({ level }) => level),
      )
    )
      return true;
    const peers = new Set(others.map((other) => other.worker)).size;
    this.#opinions.set(keyOf(range), [...opinions, { worker, norm, peers, whole }]);
    return false;
  }

  /**
   * A gradient has counted.
   * @param norm of all of it
   * @returns who had found something else of the same samples
   */
  counted(worker: WorkerId, range: Range, norm: number): Odd[] {
    this.#recent.push({ worker, level: levelOf(range, norm) });
    if (this.#recent.length > RECENT) this.#recent.shift();
    const opinions = this.#opinions.get(keyOf(range)) ?? [];
    this.#opinions.delete(keyOf(range));
    return opinions
      .filter((opinion) => opinion.worker !== worker && contradicts(opinion, norm))
      .map(({ worker: odd, norm: found, peers }) => ({ worker: odd, norm: found, peers }));
  }
}

/** @param others the levels of other workers' gradients */
function isDoubtful(level: number, others: readonly number[]): boolean {
  if (others.length < LEAST) return false;
  const middle = medianOf(others);
  const sigma = SIGMA_BY_MAD * medianOf(others.map((other) => Math.abs(other - middle)));
  return level > middle + Math.max(Math.log(TIMES), DEVIATIONS * sigma);
}

const keyOf = ({ from, to }: Range): string => `${from} ${to}`;
/** A part of a vector may be smaller than all of it, not larger. */
const contradicts = (opinion: Opinion, norm: number): boolean =>
  opinion.whole ? !alike(opinion.norm, norm) : opinion.norm > ALIKE * norm;
const alike = (a: number, b: number): boolean => a <= ALIKE * b && b <= ALIKE * a;

/** A gradient of nothing is as small as they come. */
const LEAST_NORM = 1e-30;
const levelOf = ({ from, to }: Range, norm: number): number =>
  Math.log(Math.max(LEAST_NORM, norm) / Math.sqrt(to - from));

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
