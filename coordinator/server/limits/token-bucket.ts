export interface BucketLimits {
  /** Units that may be spent at once. */
  readonly burst: number;
  readonly perSecond: number;
}

/** A budget that refills with time. */
export class TokenBucket {
  readonly #limits: BucketLimits;
  #tokens: number;
  #lastRefillMs: number;

  constructor(limits: BucketLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokens = limits.burst;
    this.#lastRefillMs = nowMs;
  }

  /** Spends `units` if there are that many. @returns whether there were */
  spend(nowMs: number, units = 1): boolean {
    this.#refill(nowMs);
    if (this.#tokens < units) return false;
    this.#tokens -= units;
    return true;
  }

  /** Takes units that were used already, down to a debt of a whole burst. @returns whether there were that many */
  charge(nowMs: number, units = 1): boolean {
    this.#refill(nowMs);
    this.#tokens = Math.max(-this.#limits.burst, this.#tokens - units);
    return this.#tokens >= 0;
  }

  /** Adds units at once, up to `most` in all. */
  credit(units: number, most: number): void {
    this.#tokens = Math.max(this.#tokens, Math.min(most, this.#tokens + units));
  }

  /** Whether it is as full as time makes it: it may then be forgotten. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#limits.burst;
  }

  #refill(nowMs: number): void {
    const { burst, perSecond } = this.#limits;
    const earned = ((nowMs - this.#lastRefillMs) / 1000) * perSecond;
    this.#tokens = Math.max(this.#tokens, Math.min(burst, this.#tokens + earned));
    this.#lastRefillMs = nowMs;
  }
}
