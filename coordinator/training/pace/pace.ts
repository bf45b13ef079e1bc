/** How long shards take a worker, from their giving to their answer: perSampleMs x (samples + fixedSamples). */
export interface Throughput {
  readonly perSampleMs: number;
  /** What does not depend on the shard (link, messages, starting the engine), as the samples that take as long. */
  readonly fixedSamples: number;
}

export const forecastMs = ({ perSampleMs, fixedSamples }: Throughput, samples: number): number =>
  perSampleMs * (samples + fixedSamples);

/** Sizes that differ by less than this part are one size. */
const SIZE_TOLERANCE = 0.125;
/** Sizes that differ by less than this factor say nothing about the fixed cost beyond the noise. */
const MIN_SIZE_RATIO = 1.5;
/** What is assumed to be fixed before two sizes were seen, of the first one. */
const INITIAL_FIXED_FRACTION = 0.1;
const MAX_FIXED_RATIO = 8;
/** What one answer counts. */
const SMOOTHING = 0.4;
const WINDOW = 3;

/**
 * Learns the pace of one worker, answer by answer. The level follows medians of three answers, so that one hiccup changes
 * nothing and a lasting change is followed within ten; the fixed part is learnt where the size of the shards changes. The
 * first answer at a size is not looked at: it pays for what engines build for a size.
 */
export class ThroughputEstimator {
  #throughput: Throughput | null = null;
  #answerCount = 0;
  #shardSize = 0;
  /** A size that was seen once. */
  #candidateSize = 0;
  /** Lately, at this size; the last comes last. */
  #recentMs: number[] = [];
  /** How the size before went, until it has been compared with this one. */
  #previousSize: { readonly samples: number; readonly elapsedMs: number } | null = null;

  /** null until two answers of one size have come. */
  get throughput(): Throughput | null {
    return this.#throughput;
  }

  /** Of the shards of late; 0 before the first. */
  get shardSize(): number {
    return this.#shardSize;
  }

  /** Answers that the pace was made of. */
  get answerCount(): number {
    return this.#answerCount;
  }

  record(samples: number, elapsedMs: number): void {
    if (!isSimilarSize(samples, this.#shardSize) && !this.#changeSize(samples)) return;
    this.#candidateSize = 0;
    this.#answerCount++;
    const scaledMs = (elapsedMs * this.#shardSize) / samples;
    this.#recentMs = [...this.#recentMs, scaledMs].slice(-WINDOW);
    const fixedSamples = this.#throughput?.fixedSamples ?? INITIAL_FIXED_FRACTION * this.#shardSize;
    const median = medianOf(this.#recentMs);
    const measured = median / (this.#shardSize + fixedSamples);
    const settled = this.#throughput !== null && this.#recentMs.length === WINDOW;
    const old = this.#throughput?.perSampleMs ?? measured;
    this.#throughput = { perSampleMs: settled ? old + SMOOTHING * (measured - old) : measured, fixedSamples };
    if (settled) this.#learnFixedCost(median);
  }

  /** @returns whether the size is another from now on: once is no change, such as an epoch's last batch */
  #changeSize(samples: number): boolean {
    if (!isSimilarSize(samples, this.#candidateSize)) {
      this.#candidateSize = samples;
      return false;
    }
    this.#previousSize =
      this.#throughput === null ? null : { samples: this.#shardSize, elapsedMs: forecastMs(this.#throughput, this.#shardSize) };
    this.#shardSize = samples;
    this.#recentMs = [];
    return true;
  }

  /** Two sizes and their times give the fixed part, unless the level has changed in between. */
  #learnFixedCost(elapsedMs: number): void {
    const before = this.#previousSize;
    const old = this.#throughput;
    this.#previousSize = null;
    if (before === null || old === null) return;
    const [n1, t1, n2, t2] = [before.samples, before.elapsedMs, this.#shardSize, elapsedMs];
    if (Math.max(n1, n2) < MIN_SIZE_RATIO * Math.min(n1, n2)) return;
    const found = (t1 * n2 - t2 * n1) / (t2 - t1);
    // Out of proportion in either direction: not the size has made the difference.
    if (!(found >= -0.5 * Math.min(n1, n2) && found <= MAX_FIXED_RATIO * Math.max(n1, n2))) return;
    const fixedSamples = (old.fixedSamples + Math.max(0, found)) / 2;
    this.#throughput = { perSampleMs: elapsedMs / (n2 + fixedSamples), fixedSamples };
  }
}

const isSimilarSize = (a: number, b: number): boolean => Math.abs(a - b) <= SIZE_TOLERANCE * b;

/** The lower one of two. */
function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? 0;
}
