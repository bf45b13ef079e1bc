/** How long shards take a worker, from their giving to their answer: perSampleMs x (samples + fixedSamples). */
export interface Pace {
  readonly perSampleMs: number;
  /** What does not depend on the shard (link, messages, starting the engine), as the samples that take as long. */
  readonly fixedSamples: number;
}

export const forecastMs = ({ perSampleMs, fixedSamples }: Pace, samples: number): number =>
  perSampleMs * (samples + fixedSamples);

/** Sizes that differ by less than this part are one size. */
const ALIKE = 0.125;
/** Sizes that differ by less than this factor say nothing about the fixed cost beyond the noise. */
const TELLING = 1.5;
/** What is assumed to be fixed before two sizes were seen, of the first one. */
const FIXED_AT_FIRST = 0.1;
const MOST_FIXED = 8;
/** What one answer counts. */
const WEIGHT = 0.4;
const RECENT = 3;

/**
 * Learns the pace of one worker, answer by answer. The level follows medians of three answers, so that one hiccup changes
 * nothing and a lasting change is followed within ten; the fixed part is learnt where the size of the shards changes. The
 * first answer at a size is not looked at: it pays for what engines build for a size.
 */
export class PaceEstimate {
  #pace: Pace | null = null;
  #answers = 0;
  #size = 0;
  /** A size that was seen once. */
  #newSize = 0;
  /** Lately, at this size; the last comes last. */
  #recentMs: number[] = [];
  /** How the size before went, until it has been compared with this one. */
  #before: { readonly samples: number; readonly elapsedMs: number } | null = null;

  /** null until two answers of one size have come. */
  get pace(): Pace | null {
    return this.#pace;
  }

  /** Of the shards of late; 0 before the first. */
  get size(): number {
    return this.#size;
  }

  /** Answers that the pace was made of. */
  get answers(): number {
    return this.#answers;
  }

  observe(samples: number, elapsedMs: number): void {
    if (!alike(samples, this.#size) && !this.#changeSize(samples)) return;
    this.#newSize = 0;
    this.#answers++;
    const scaledMs = (elapsedMs * this.#size) / samples;
    this.#recentMs = [...this.#recentMs, scaledMs].slice(-RECENT);
    const fixedSamples = this.#pace?.fixedSamples ?? FIXED_AT_FIRST * this.#size;
    const median = medianOf(this.#recentMs);
    const measured = median / (this.#size + fixedSamples);
    const settled = this.#pace !== null && this.#recentMs.length === RECENT;
    const old = this.#pace?.perSampleMs ?? measured;
    this.#pace = { perSampleMs: settled ? old + WEIGHT * (measured - old) : measured, fixedSamples };
    if (settled) this.#compare(median);
  }

  /** @returns whether the size is another from now on: once is no change, such as an epoch's last batch */
  #changeSize(samples: number): boolean {
    if (!alike(samples, this.#newSize)) {
      this.#newSize = samples;
      return false;
    }
    this.#before =
      this.#pace === null ? null : { samples: this.#size, elapsedMs: forecastMs(this.#pace, this.#size) };
    this.#size = samples;
    this.#recentMs = [];
    return true;
  }

  /** Two sizes and their times give the fixed part, unless the level has changed in between. */
  #compare(elapsedMs: number): void {
    const before = this.#before;
    const old = this.#pace;
    this.#before = null;
    if (before === null || old === null) return;
    const [n1, t1, n2, t2] = [before.samples, before.elapsedMs, this.#size, elapsedMs];
    if (Math.max(n1, n2) < TELLING * Math.min(n1, n2)) return;
    const found = (t1 * n2 - t2 * n1) / (t2 - t1);
    // Out of proportion in either direction: not the size has made the difference.
    if (!(found >= -0.5 * Math.min(n1, n2) && found <= MOST_FIXED * Math.max(n1, n2))) return;
    const fixedSamples = (old.fixedSamples + Math.max(0, found)) / 2;
    this.#pace = { perSampleMs: elapsedMs / (n2 + fixedSamples), fixedSamples };
  }
}

const alike = (a: number, b: number): boolean => Math.abs(a - b) <= ALIKE * b;

/** The lower one of two. */
function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? 0;
}
