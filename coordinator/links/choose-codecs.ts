import { codecNamed } from '../../shared/codec/codec.ts';
import { LINK_CODECS, PLAIN, type LinkCodecs } from '../members/link-codecs.ts';
import type { LinkFigures } from './link-figures.ts';

/** What a lossy codec costs both ends together: encoding, decoding, feedback. */
const LOSSY_MS = 3;
/** Less lossy codecs are taken as long as they are not slower by more than this. */
const NEARLY = 1.04;
/** Lossier ones have to promise to be done in this part of the time. */
const WORTH_WHILE = 0.93;
const IN_A_ROW = 3;

/** What a link may have, the least lossy first. */
export const CANDIDATES: readonly LinkCodecs[] = Object.values(LINK_CODECS);

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

/** What is best for a link: the least lossy codecs of those that are nearly as fast as the fastest. */
export function bestCodecs(
  figures: LinkFigures,
  current: LinkCodecs,
  candidates: readonly LinkCodecs[],
  values: number,
): { readonly codecs: LinkCodecs; readonly ms: number } {
  const forecasts = candidates.map((codecs) => ({
    codecs,
    ms: forecastMs(figures, current, codecs, values),
  }));
  const fastestMs = Math.min(...forecasts.map(({ ms }) => ms));
  const plain = { codecs: PLAIN, ms: figures.turnaroundMs };
  return forecasts.find(({ ms }) => ms <= NEARLY * fastestMs) ?? plain;
}

/** Says when a link changes its codecs: for a clear gain, or to lose less, and only if that is so for some steps. */
export class CodecChoice {
  #codecs: LinkCodecs = PLAIN;
  #votes = 0;
  /** The first choice is a guess that nobody has made yet: it needs no proof. */
  #needed = 1;

  get codecs(): LinkCodecs {
    return this.#codecs;
  }

  /**
   * Called once a step.
   * @returns the new codecs, with what they promise; null if nothing changes
   */
  next(
    figures: LinkFigures,
    candidates: readonly LinkCodecs[],
    values: number,
  ): { readonly codecs: LinkCodecs; readonly ms: number } | null {
    const best = bestCodecs(figures, this.#codecs, candidates, values);
    const clearlyFaster = best.ms < WORTH_WHILE * figures.turnaroundMs;
    const lessLossy = candidates.indexOf(best.codecs) < candidates.indexOf(this.#codecs);
    const wanted = best.codecs !== this.#codecs && (clearlyFaster || lessLossy);
    this.#votes = wanted ? this.#votes + 1 : 0;
    if (this.#votes < this.#needed) return null;
    this.#votes = 0;
    this.#needed = IN_A_ROW;
    this.#codecs = best.codecs;
    return best;
  }
}
