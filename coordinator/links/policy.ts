import { areFactorsSmaller, FACTORS } from '../../shared/codec/factors.ts';
import { FLOAT32_LINK, sendsUpdates, type LinkCodecs } from './codecs.ts';
import { forecastTurnaroundMs, payloadShapeFor, type PayloadShape } from './cost-model.ts';
import type { LinkStats } from './meter.ts';
import type { WorkerLink } from './worker-link.ts';

/** Codecs that are slower than the fastest ones by no more than this factor count as fast. */
const SPEED_TOLERANCE = 1.02;
/** Lossier codecs must be faster than the current ones by this factor. */
const MAX_TIME_RATIO = 0.95;
const VOTES_TO_CHANGE = 3;
/** Number of steps for which the turnaround of abandoned codecs is remembered. */
const MEMORY_STEPS = 200;
const MAX_MEMORY_STEPS = 3_200;

/** Codecs that a link can use, the least lossy first. */
export const CODEC_LEVELS: readonly LinkCodecs[] = [
  FLOAT32_LINK,
  { up: FACTORS, down: 'float32' },
  { up: 'float16', down: 'float16' },
  { up: FACTORS, down: 'int8' },
  { up: 'int8', down: 'int8' },
  { up: 'int4', down: 'int8' },
  { up: 'int4', down: 'int4' },
];

/**
 * Least lossy candidate among those that are about as fast as the fastest.
 * @param candidates the least lossy first
 * @returns undefined without candidates, or if a time is not a number
 */
export function leastLossyFastCodecs<Candidate>(
  candidates: readonly Candidate[],
  timeMs: (candidate: Candidate) => number,
): Candidate | undefined {
  const fastestMs = Math.min(...candidates.map(timeMs));
  return candidates.find((candidate) => timeMs(candidate) <= SPEED_TOLERANCE * fastestMs);
}

/** One of CODEC_LEVELS as a certain link would use it: its downlink codec may be a smaller one, for other links' sake. */
export interface CodecCandidate {
  readonly level: number;
  readonly codecs: LinkCodecs;
}

/**
 * Decides when a link changes its codecs: for a clear gain, or to lose less, and only if several steps in a row agree.
 * The result of a choice is remembered for a while: other links change too, and a link that several workers share looks
 * fast to the first worker that would use it.
 */
export class CodecSelector {
  #level = 0;
  #votes = 0;
  /** The first choice replaces no other choice, so one vote is enough. */
  #votesNeeded = 1;
  #step = 0;
  readonly #history = new Map<number, LevelHistory>();

  /** Index of the current codecs in CODEC_LEVELS. */
  get level(): number {
    return this.#level;
  }

  /**
   * Evaluates the candidates; called once a step.
   * @param current codecs in use
   * @param candidates the least lossy first
   * @returns expected turnaround of a shard with new codecs; null if the codecs stay
   */
  next(
    stats: LinkStats,
    current: LinkCodecs,
    candidates: readonly CodecCandidate[],
    payload: PayloadShape,
  ): number | null {
    this.#step++;
    this.#record(stats);
    const { turnaroundMs } = stats;
    const forecasts = candidates.map(({ level, codecs }) => ({
      level,
      ms: Math.max(forecastTurnaroundMs(stats, current, codecs, payload), this.#rememberedMs(level, stats)),
    }));
    const best = leastLossyFastCodecs(forecasts, ({ ms }) => ms);
    const { level, ms } = best ?? { level: this.#level, ms: turnaroundMs };
    const isBetter = level < this.#level || (level > this.#level && ms < MAX_TIME_RATIO * turnaroundMs);
    this.#votes = isBetter ? this.#votes + 1 : 0;
    if (this.#votes < this.#votesNeeded) return null;
    this.#votes = 0;
    this.#votesNeeded = VOTES_TO_CHANGE;
    this.#recordLeaving();
    this.#level = level;
    return ms;
  }

  #record({ turnaroundMs, computeMs }: LinkStats): void {
    const previous = this.#history.get(this.#level);
    const timesLeft = previous?.timesLeft ?? 0;
    const exposedMs = Math.max(0, turnaroundMs - computeMs);
    this.#history.set(this.#level, { exposedMs, untilStep: Infinity, timesLeft });
  }

  /** Limits how long the current level is remembered: longer each time that the link leaves it. */
  #recordLeaving(): void {
    const history = this.#history.get(this.#level);
    if (history === undefined) return;
    const { timesLeft } = history;
    const steps = Math.min(MAX_MEMORY_STEPS, MEMORY_STEPS * 2 ** timesLeft);
    this.#history.set(this.#level, {
      ...history,
      untilStep: this.#step + steps,
      timesLeft: timesLeft + 1,
    });
  }

  /** Turnaround that was measured on another level; 0 if there is none, or if it is too long ago. */
  #rememberedMs(level: number, { computeMs }: LinkStats): number {
    const history = this.#history.get(level);
    return level === this.#level || history === undefined || history.untilStep < this.#step
      ? 0
      : computeMs + history.exposedMs;
  }
}

interface LevelHistory {
  /** Part of a shard's turnaround that was not computation. */
  readonly exposedMs: number;
  readonly untilStep: number;
  /** How often the link has left this level. */
  readonly timesLeft: number;
}

/** The part of a worker that codec selection reads and changes. */
export interface AdaptiveWorker {
  readonly link: WorkerLink;
}

/** A codec switch of one link. */
export interface CodecChanged<Changed extends AdaptiveWorker = AdaptiveWorker> {
  readonly worker: Changed;
  readonly stats: LinkStats;
  /** Expected turnaround of a shard with the new codecs. */
  readonly expectedMs: number;
}

/**
 * Selects the codecs of each link, step by step. One codec encodes all updates, the smallest one that any link has
 * selected, so that all workers have the same weights. Once there are updates, every worker that can apply them receives
 * them: whole weights would only add bytes.
 */
export class AdaptiveCodecs {
  readonly #payload: PayloadShape;
  readonly #selectors = new WeakMap<AdaptiveWorker, CodecSelector>();

  constructor(payload: PayloadShape) {
    this.#payload = payload;
  }

  /** Selects codecs between two steps. @returns links whose own choice has changed */
  selectCodecs<Each extends AdaptiveWorker>(workers: readonly Each[]): CodecChanged<Each>[] {
    const changes: CodecChanged<Each>[] = [];
    const adaptive = workers.filter(({ link }) => link.switchableCodecs.length > 0);
    // One link after the other: two links that need each other's update codec must not both leave it in one step.
    for (const worker of adaptive) {
      const selector = this.#selectors.get(worker) ?? new CodecSelector();
      this.#selectors.set(worker, selector);
      const { link } = worker;
      const { stats } = link.meter;
      if (stats === null) continue;
      const othersDown = this.#cheapestDownlink(adaptive.filter((other) => other !== worker));
      const expectedMs = selector.next(
        stats,
        currentCodecs(link),
        this.#candidatesFor(link, othersDown, stats.samples),
        payloadShapeFor(link.bucketOffsets.length > 1, this.#payload),
      );
      if (expectedMs !== null) changes.push({ worker, stats, expectedMs });
    }
    const down = this.#cheapestDownlink(adaptive);
    for (const worker of adaptive) this.#apply(worker, down);
    return changes;
  }

  #apply(worker: AdaptiveWorker, down: string): void {
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
    const factored = kernel !== null && areFactorsSmaller(kernel, samples);
    const isSupported = (codecs: LinkCodecs): boolean =>
      switchableCodecs.includes(codecs.up) &&
      (!sendsUpdates(codecs) || switchableCodecs.includes(codecs.down));
    const downLevel = CODEC_LEVELS.findIndex((codecs) => codecs.down === down);
    return CODEC_LEVELS.flatMap((codecs, level) => {
      if (!isSupported(codecs) || (codecs.up === FACTORS && !factored)) return [];
      const needsSmallerDown = level < downLevel && switchableCodecs.includes(down);
      return [{ level, codecs: needsSmallerDown ? { ...codecs, down } : codecs }];
    });
  }

  #cheapestDownlink(workers: readonly AdaptiveWorker[]): string {
    const levels = workers.map((worker) => this.#selectors.get(worker)?.level ?? 0);
    return CODEC_LEVELS[Math.max(0, ...levels)]?.down ?? FLOAT32_LINK.down;
  }
}

const currentCodecs = ({ codec, updateCodec }: WorkerLink): LinkCodecs => ({
  up: codec,
  down: updateCodec ?? FLOAT32_LINK.down,
});
