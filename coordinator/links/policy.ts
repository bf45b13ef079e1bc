import { getCodec } from '../../shared/codec/registry.ts';
import { factoredBytes, FACTORS, areFactorsSmaller, type DenseKernel } from '../../shared/codec/factors.ts';
import { FLOAT32_LINK, type LinkCodecs, sendsUpdates } from './codecs.ts';
import type { LinkStats } from './meter.ts';
import type { Worker } from '../pool/worker.ts';
import type { WorkerLink } from './worker-link.ts';
/** What any codec but float32 costs both ends together: encoding, decoding, feedback, products of factors. */
const LOSSY_MS = 3;
/** Less lossy codecs are taken as long as they are not slower by more than this. */
export const SPEED_TOLERANCE = 1.02;
/** Lossier ones have to promise to be done in this part of the time. */
const MAX_TIME_RATIO = 0.95;
const VOTES_TO_CHANGE = 3;
/** Steps for which it is remembered how codecs did that were left. */
const MEMORY_STEPS = 200;
const MAX_MEMORY_STEPS = 3_200;

/** What a link may have, the least lossy first. */
export const CODEC_LEVELS: readonly LinkCodecs[] = [
  FLOAT32_LINK,
  { up: FACTORS, down: 'float32' },
  { up: 'float16', down: 'float16' },
  { up: FACTORS, down: 'int8' },
  { up: 'int8', down: 'int8' },
  { up: 'int4', down: 'int8' },
  { up: 'int4', down: 'int4' },
];

/** What travels. */
export interface PayloadShape {
  /** In a gradient. */
  readonly values: number;
  /** The kernel whose gradient may travel as factors. */
  readonly kernel: DenseKernel | null;
  /** In which nearly all of gradients and weights travel; 0 if they travel whole. */
  readonly bucketCount: number;
}

/** What travels to and from a worker: whole, if it takes no tails. */
export const payloadShapeFor = (acceptsBuckets: boolean, vectors: PayloadShape): PayloadShape =>
  acceptsBuckets ? vectors : { ...vectors, bucketCount: 0 };

/** A link's rates, upside down. */
export type LinkRates = Pick<LinkStats, 'downMsPerByte' | 'upMsPerByte'>;

/** A gradient and the weights that it becomes, each alone on its way. */
export interface TransferTime {
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
export function transferTime(
  { up, down }: LinkCodecs,
  { values, kernel, bucketCount }: PayloadShape,
  samples: number,
  { upMsPerByte, downMsPerByte }: LinkRates,
): TransferTime {
  const factored = up === FACTORS && kernel !== null && areFactorsSmaller(kernel, samples);
  const upBytes = factored
    ? factoredBytes(kernel, samples, { from: 0, to: values })
    : getCodec(up === FACTORS ? FLOAT32_LINK.up : up).bytes(values);
  const [upMs, downMs] = [upBytes * upMsPerByte, getCodec(down).bytes(values) * downMsPerByte];
  const parts = factored ? 1 : Math.max(1, bucketCount);
  return { upMs, downMs, wireMs: Math.max(upMs, downMs) + Math.min(upMs, downMs) / parts };
}

/** What a shard takes of a link's time beside the computation, if nothing of it is hidden behind that. */
export function transferMs(
  figures: LinkRates & Pick<LinkStats, 'samples'>,
  codecs: LinkCodecs,
  vectors: PayloadShape,
): number {
  const lossyMs = codecs.up !== FLOAT32_LINK.up || getCodec(codecs.down).lossy ? LOSSY_MS : 0;
  return transferTime(codecs, vectors, figures.samples, figures).wireMs + lossyMs;
}

/**
 * How long a shard would take with other codecs. Of bytes that are saved, that part counts which is not hidden behind the
 * computation now; of bytes that are added, all: so a forecast is never better than what comes of it, and two codecs do
 * not take turns.
 * @param vectors what travels
 */
export function forecastTurnaroundMs(
  figures: LinkStats,
  current: LinkCodecs,
  other: LinkCodecs,
  vectors: PayloadShape,
): number {
  const { turnaroundMs, computeMs, rttMs } = figures;
  const nowMs = transferMs(figures, current, vectors);
  const changeMs = transferMs(figures, other, vectors) - nowMs;
  if (changeMs >= 0) return turnaroundMs + changeMs;
  const exposedMs = Math.max(0, turnaroundMs - computeMs - rttMs);
  return turnaroundMs + changeMs * Math.min(1, exposedMs / nowMs);
}

/** One of LADDER, and what it comes to for a link: its updates may have to be more frugal, for others' sake. */
export interface CodecCandidate {
  readonly level: number;
  readonly codecs: LinkCodecs;
}

/**
 * Says when a link changes its codecs: for a clear gain, or to lose less, and only if that is so for some steps. What came
 * of a choice is remembered for a while: other links change as well, and a link that all share looks wide to the first.
 */
export class CodecSelector {
  #level = 0;
  #votes = 0;
  /** The first choice takes nobody's place: it needs no proof. */
  #votesNeeded = 1;
  #step = 0;
  readonly #history = new Map<number, LevelHistory>();

  /** Of LADDER. */
  get level(): number {
    return this.#level;
  }

  /**
   * Called once a step.
   * @param current what is in use
   * @param candidates the least lossy first
   * @returns how long a shard should take from now on; null if nothing changes
   */
  next(
    figures: LinkStats,
    current: LinkCodecs,
    candidates: readonly CodecCandidate[],
    vectors: PayloadShape,
  ): number | null {
    this.#step++;
    this.#record(figures);
    const { turnaroundMs } = figures;
    const forecasts = candidates.map(({ level, codecs }) => ({
      rung: level,
      ms: Math.max(
        forecastTurnaroundMs(figures, current, codecs, vectors),
        this.#rememberedMs(level, figures),
      ),
    }));
    const fastestMs = Math.min(...forecasts.map(({ ms }) => ms));
    const best = forecasts.find(({ ms }) => ms <= SPEED_TOLERANCE * fastestMs);
    const { rung, ms } = best ?? { rung: this.#level, ms: turnaroundMs };
    const wanted = rung < this.#level || (rung > this.#level && ms < MAX_TIME_RATIO * turnaroundMs);
    this.#votes = wanted ? this.#votes + 1 : 0;
    if (this.#votes < this.#votesNeeded) return null;
    this.#votes = 0;
    this.#votesNeeded = VOTES_TO_CHANGE;
    this.#recordLeaving();
    this.#level = rung;
    return ms;
  }

  #record({ turnaroundMs, computeMs }: LinkStats): void {
    const old = this.#history.get(this.#level);
    const timesLeft = old?.timesLeft ?? 0;
    const exposedMs = Math.max(0, turnaroundMs - computeMs);
    this.#history.set(this.#level, { exposedMs, untilStep: Infinity, timesLeft });
  }

  /** Each time that a rung is left, it is remembered for longer. */
  #recordLeaving(): void {
    const seen = this.#history.get(this.#level);
    if (seen === undefined) return;
    const steps = Math.min(MAX_MEMORY_STEPS, MEMORY_STEPS * 2 ** seen.timesLeft);
    this.#history.set(this.#level, { ...seen, untilStep: this.#step + steps, timesLeft: seen.timesLeft + 1 });
  }

  /** What a shard took on another rung, as far as that is not too long ago; 0 if nothing is known. */
  #rememberedMs(rung: number, { computeMs }: LinkStats): number {
    const seen = this.#history.get(rung);
    return rung === this.#level || seen === undefined || seen.untilStep < this.#step
      ? 0
      : computeMs + seen.exposedMs;
  }
}

interface LevelHistory {
  /** Of a shard's time, what was not computation. */
  readonly exposedMs: number;
  readonly untilStep: number;
  /** How often it was left. */
  readonly timesLeft: number;
}

/** A link whose codecs have changed. */
export interface CodecChanged {
  readonly worker: Worker;
  readonly stats: LinkStats;
  /** What a shard is to take from now on. */
  readonly expectedMs: number;
}

/**
 * Chooses for each link how its vectors travel, step by step. All updates are made by one codec, the most frugal one that
 * a link has chosen: whoever computes has the same weights. Once there are updates everybody gets them who can, for
 * whole weights would bring nothing but more bytes.
 */
export class AdaptiveCodecs {
  readonly #payload: PayloadShape;
  readonly #selectors = new WeakMap<Worker, CodecSelector>();

  constructor(vectors: PayloadShape) {
    this.#payload = vectors;
  }

  /**
   * Called between two steps.
   * @returns what links have chosen anew
   */
  selectCodecs(workers: readonly Worker[]): CodecChanged[] {
    const changes: CodecChanged[] = [];
    const adaptive = workers.filter(({ link }) => link.switchableCodecs.length > 0);
    // One after the other: two that hold each other's codec must not let go of it together.
    for (const worker of adaptive) {
      const selector = this.#selectors.get(worker) ?? new CodecSelector();
      this.#selectors.set(worker, selector);
      const { link } = worker;
      const { stats } = link.meter;
      if (stats === null) continue;
      const others = this.#cheapestDownlink(adaptive.filter((other) => other !== worker));
      const expectedMs = selector.next(
        stats,
        currentCodecs(link),
        this.#candidatesFor(link, others, stats.samples),
        payloadShapeFor(link.bucketOffsets.length > 1, this.#payload),
      );
      if (expectedMs !== null) changes.push({ worker, stats, expectedMs });
    }
    const down = this.#cheapestDownlink(adaptive);
    for (const worker of adaptive) this.#apply(worker, down);
    return changes;
  }

  #apply(worker: Worker, down: string): void {
    const { link } = worker;
    const before = currentCodecs(link);
    const { up } = CODEC_LEVELS[this.#selectors.get(worker)?.level ?? 0] ?? FLOAT32_LINK;
    link.codec = up;
    link.updateCodec = down !== FLOAT32_LINK.down && link.switchableCodecs.includes(down) ? down : null;
    const after = currentCodecs(link);
    if (before.up !== after.up || before.down !== after.down) link.meter.onCodecChange();
  }

  /** @param down codec of the other links' updates */
  #candidatesFor({ switchableCodecs }: WorkerLink, down: string, samples: number): CodecCandidate[] {
    const { kernel } = this.#payload;
    const hasFactors = kernel !== null && areFactorsSmaller(kernel, samples);
    const supports = (codecs: LinkCodecs): boolean =>
      switchableCodecs.includes(codecs.up) &&
      (!sendsUpdates(codecs) || switchableCodecs.includes(codecs.down));
    const minLevel = CODEC_LEVELS.findIndex((codecs) => codecs.down === down);
    return CODEC_LEVELS.flatMap((codecs, level) => {
      if (!supports(codecs) || (codecs.up === FACTORS && !hasFactors)) return [];
      const usesDown = level < minLevel && switchableCodecs.includes(down);
      return [{ level, codecs: usesDown ? { ...codecs, down } : codecs }];
    });
  }

  #cheapestDownlink(workers: readonly Worker[]): string {
    const levels = workers.map((worker) => this.#selectors.get(worker)?.level ?? 0);
    return CODEC_LEVELS[Math.max(0, ...levels)]?.down ?? FLOAT32_LINK.down;
  }
}

const currentCodecs = ({ codec, updateCodec }: WorkerLink): LinkCodecs => ({
  up: codec,
  down: updateCodec ?? FLOAT32_LINK.down,
});
