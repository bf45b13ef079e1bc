export interface BucketLimits {
  /** Units that may be spent at once. */
  readonly burst: number;
  readonly perSecond: number;
}

/** A budget that refills with time. */
export class TokenBucket {
  readonly #limits: BucketLimits;
  #left: number;
  #countedMs: number;

  constructor(limits: BucketLimits, nowMs: number) {
    this.#limits = limits;
    this.#left = limits.burst;
    this.#countedMs = nowMs;
  }

  /** Spends `units` if there are that many. @returns whether there were */
  spend(nowMs: number, units = 1): boolean {
    this.#refill(nowMs);
    if (this.#left < units) return false;
    this.#left -= units;
    return true;
  }

  /** Takes units that were used already, down to a debt of a whole burst. @returns whether there were that many */
  charge(nowMs: number, units = 1): boolean {
    this.#refill(nowMs);
    this.#left = Math.max(-this.#limits.burst, this.#left - units);
    return this.#left >= 0;
  }

  /** Adds units at once, up to `most` in all. */
  earn(units: number, most: number): void {
    this.#left = Math.max(this.#left, Math.min(most, this.#left + units));
  }

  /** Whether it is as full as time makes it: it may then be forgotten. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#left >= this.#limits.burst;
  }

  #refill(nowMs: number): void {
    const { burst, perSecond } = this.#limits;
    const earned = ((nowMs - this.#countedMs) / 1000) * perSecond;
    this.#left = Math.max(this.#left, Math.min(burst, this.#left + earned));
    this.#countedMs = nowMs;
  }
}
