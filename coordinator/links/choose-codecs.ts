import { codecNamed } from '../../shared/codec/codec.ts';
import { LINK_CODECS, type LinkCodecs } from '../members/link-codecs.ts';
import type { LinkFigures } from './link-figures.ts';

/** What a lossy codec costs both ends together: encoding, decoding, feedback. */
const LOSSY_MS = 3;
/** Less lossy codecs are taken as long as they are not slower by more than this. */
const NEARLY = 1.04;
/** Lossier ones have to promise to be done in this part of the time. */
const WORTH_WHILE = 0.93;
const IN_A_ROW = 3;

/** What a link may have, the least lossy first. */
export const LADDER: readonly LinkCodecs[] = Object.values(LINK_CODECS);

/** What a shard takes of a link's time beside the computation, if nothing of it is hidden behind that. */
export function transferMs(
  { downMsPerByte, upMsPerByte }: Pick<LinkFigures, 'downMsPerByte' | 'upMsPerByte'>,
  { up, down }: LinkCodecs,
  values: number,
): number {
  const [upCodec, downCodec] = [codecNamed(up), codecNamed(down)];
  const lossyMs = upCodec.lossy || downCodec.lossy ? LOSSY_MS : 0;
  return downCodec.bytes(values) * downMsPerByte + upCodec.bytes(values) * upMsPerByte + lossyMs;
}

/**
 * How long a shard would take with other codecs. Of bytes that are saved, that part counts which is not hidden behind the
 * computation now; of bytes that are added, all: so a forecast is never better than what comes of it, and two codecs do
 * not take turns.
 * @param values in a gradient
 */
export function forecastMs(
  figures: LinkFigures,
  current: LinkCodecs,
  other: LinkCodecs,
  values: number,
): number {
  const { turnaroundMs, computeMs, rttMs } = figures;
  const nowMs = transferMs(figures, current, values);
  const changeMs = transferMs(figures, other, values) - nowMs;
  if (changeMs >= 0) return turnaroundMs + changeMs;
  const exposedMs = Math.max(0, turnaroundMs - computeMs - rttMs);
  return turnaroundMs + changeMs * Math.min(1, exposedMs / nowMs);
}

/** One of LADDER, and what it comes to for a link: its updates may have to be more frugal, for others' sake. */
export interface Candidate {
  readonly rung: number;
  readonly codecs: LinkCodecs;
}

/** What is best for a link: the least lossy codecs of those that are nearly as fast as the fastest. */
function best(
  figures: LinkFigures,
  current: LinkCodecs,
  candidates: readonly Candidate[],
  values: number,
): (Candidate & { readonly ms: number }) | undefined {
  const forecasts = candidates.map((candidate) => ({
    ...candidate,
    ms: forecastMs(figures, current, candidate.codecs, values),
  }));
  const fastestMs = Math.min(...forecasts.map(({ ms }) => ms));
  return forecasts.find(({ ms }) => ms <= NEARLY * fastestMs);
}

/** Says when a link changes its codecs: for a clear gain, or to lose less, and only if that is so for some steps. */
export class CodecChoice {
  #rung = 0;
  #votes = 0;
  /** The first choice takes nobody's place: it needs no proof. */
  #needed = 1;

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
    values: number,
  ): number | null {
    const found = best(figures, current, candidates, values);
    const { rung, ms } = found ?? { rung: this.#rung, ms: figures.turnaroundMs };
    const wanted = rung < this.#rung || (rung > this.#rung && ms < WORTH_WHILE * figures.turnaroundMs);
    this.#votes = wanted ? this.#votes + 1 : 0;
    if (this.#votes < this.#needed) return null;
    this.#votes = 0;
    this.#needed = IN_A_ROW;
    this.#rung = rung;
    return ms;
  }
}
