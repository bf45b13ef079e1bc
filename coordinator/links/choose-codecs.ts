import { codecNamed } from '../../shared/codec/codec.ts';
import { factoredBytes, FACTORS, worthFactoring, type DenseKernel } from '../../shared/codec/factors.ts';
import { PLAIN, type LinkCodecs } from '../members/link-codecs.ts';
import type { LinkFigures } from './link-figures.ts';

/** What any codec but float32 costs both ends together: encoding, decoding, feedback, products of factors. */
const LOSSY_MS = 3;
/** Less lossy codecs are taken as long as they are not slower by more than this. */
export const NEARLY = 1.02;
/** Lossier ones have to promise to be done in this part of the time. */
const WORTH_WHILE = 0.95;
const IN_A_ROW = 3;
/** Steps for which it is remembered how codecs did that were left. */
const MEMORY = 200;
const LONGEST_MEMORY = 3_200;

/** What a link may have, the least lossy first. */
export const LADDER: readonly LinkCodecs[] = [
  PLAIN,
  { up: FACTORS, down: 'float32' },
  { up: 'float16', down: 'float16' },
  { up: FACTORS, down: 'int8' },
  { up: 'int8', down: 'int8' },
  { up: 'int4', down: 'int8' },
  { up: 'int4', down: 'int4' },
];

/** What travels. */
export interface Vectors {
  /** In a gradient. */
  readonly values: number;
  /** The kernel whose gradient may travel as factors. */
  readonly kernel: DenseKernel | null;
  /** In which nearly all of gradients and weights travel; 0 if they travel whole. */
  readonly pieces: number;
}

/** What travels to and from a worker: whole, if it takes no tails. */
export const vectorsFor = ({ tails }: { readonly tails: boolean }, vectors: Vectors): Vectors =>
  tails ? vectors : { ...vectors, pieces: 0 };

/** A link's rates, upside down. */
export type Rates = Pick<LinkFigures, 'downMsPerByte' | 'upMsPerByte'>;

/** A gradient and the weights that it becomes, each alone on its way. */
export interface Passage {
  readonly upMs: number;
  readonly downMs: number;
  /** Both, as far as one does not overlap with the other. */
  readonly wireMs: number;
}

/**
 * How long a gradient and what becomes of it are on their way. In pieces, the new weights of the first travel down while the
 * others travel up:
 *
 *     wire = max(up, down) + min(up, down) / pieces
 *
 * Factors cannot be cut.
 */
export function passage(
  { up, down }: LinkCodecs,
  { values, kernel, pieces }: Vectors,
  samples: number,
  { upMsPerByte, downMsPerByte }: Rates,
): Passage {
  const factored = up === FACTORS && kernel !== null && worthFactoring(kernel, samples);
  const upBytes = factored
    ? factoredBytes(kernel, samples, { from: 0, to: values })
    : codecNamed(up === FACTORS ? PLAIN.up : up).bytes(values);
  const [upMs, downMs] = [upBytes * upMsPerByte, codecNamed(down).bytes(values) * downMsPerByte];
  const parts = factored ? 1 : Math.max(1, pieces);
  return { upMs, downMs, wireMs: Math.max(upMs, downMs) + Math.min(upMs, downMs) / parts };
}

/** What a shard takes of a link's time beside the computation, if nothing of it is hidden behind that. */
export function transferMs(
  figures: Rates & Pick<LinkFigures, 'samples'>,
  codecs: LinkCodecs,
  vectors: Vectors,
): number {
  const lossyMs = codecs.up !== PLAIN.up || codecNamed(codecs.down).lossy ? LOSSY_MS : 0;
  return passage(codecs, vectors, figures.samples, figures).wireMs + lossyMs;
}

/**
 * How long a shard would take with other codecs. Of bytes that are saved, that part counts which is not hidden behind the
 * computation now; of bytes that are added, all: so a forecast is never better than what comes of it, and two codecs do
 * not take turns.
 * @param vectors what travels
 */
export function forecastMs(
  figures: LinkFigures,
  current: LinkCodecs,
  other: LinkCodecs,
  vectors: Vectors,
): number {
  const { turnaroundMs, computeMs, rttMs } = figures;
  const nowMs = transferMs(figures, current, vectors);
  const changeMs = transferMs(figures, other, vectors) - nowMs;
  if (changeMs >= 0) return turnaroundMs + changeMs;
  const exposedMs = Math.max(0, turnaroundMs - computeMs - rttMs);
  return turnaroundMs + changeMs * Math.min(1, exposedMs / nowMs);
}

/** One of LADDER, and what it comes to for a link: its updates may have to be more frugal, for others' sake. */
export interface Candidate {
  readonly rung: number;
  readonly codecs: LinkCodecs;
}

/**
 * Says when a link changes its codecs: for a clear gain, or to lose less, and only if that is so for some steps. What came
 * of a choice is remembered for a while: other links change as well, and a link that all share looks wide to the first.
 */
export class CodecChoice {
  #rung = 0;
  #votes = 0;
  /** The first choice takes nobody's place: it needs no proof. */
  #needed = 1;
  #step = 0;
  readonly #seen = new Map<number, Seen>();

  /** Of LADDER. */
  get rung(): number {
    return this.#rung;
  }

  /**
   * Called once a step.
   * @param current what is in use
   * @param candidates the least lossy first
   * @returns how long a shard should take from now on; null if nothing changes
   */
  next(
    figures: LinkFigures,
    current: LinkCodecs,
    candidates: readonly Candidate[],
    vectors: Vectors,
  ): number | null {
    this.#step++;
    this.#see(figures);
    const { turnaroundMs } = figures;
    const forecasts = candidates.map(({ rung, codecs }) => ({
      rung,
      ms: Math.max(forecastMs(figures, current, codecs, vectors), this.#remembered(rung, figures)),
    }));
    const fastestMs = Math.min(...forecasts.map(({ ms }) => ms));
    const best = forecasts.find(({ ms }) => ms <= NEARLY * fastestMs);
    const { rung, ms } = best ?? { rung: this.#rung, ms: turnaroundMs };
    const wanted = rung < this.#rung || (rung > this.#rung && ms < WORTH_WHILE * turnaroundMs);
    this.#votes = wanted ? this.#votes + 1 : 0;
    if (this.#votes < this.#needed) return null;
    this.#votes = 0;
    this.#needed = IN_A_ROW;
    this.#leave();
    this.#rung = rung;
    return ms;
  }

  #see({ turnaroundMs, computeMs }: LinkFigures): void {
    const old = this.#seen.get(this.#rung);
    const times = old?.times ?? 0;
    const exposedMs = Math.max(0, turnaroundMs - computeMs);
    this.#seen.set(this.#rung, { exposedMs, untilStep: Infinity, times });
  }

  /** Each time that a rung is left, it is remembered for longer. */
  #leave(): void {
    const seen = this.#seen.get(this.#rung);
    if (seen === undefined) return;
    const steps = Math.min(LONGEST_MEMORY, MEMORY * 2 ** seen.times);
    this.#seen.set(this.#rung, { ...seen, untilStep: this.#step + steps, times: seen.times + 1 });
  }

  /** What a shard took on another rung, as far as that is not too long ago; 0 if nothing is known. */
  #remembered(rung: number, { computeMs }: LinkFigures): number {
    const seen = this.#seen.get(rung);
    return rung === this.#rung || seen === undefined || seen.untilStep < this.#step
      ? 0
      : computeMs + seen.exposedMs;
  }
}

interface Seen {
  /** Of a shard's time, what was not computation. */
  readonly exposedMs: number;
  readonly untilStep: number;
  /** How often it was left. */
  readonly times: number;
}
