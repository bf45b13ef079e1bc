export interface BucketLimits {
  /** Number of units in a full bucket. */
  readonly burst: number;
  readonly perSecond: number;
}

/** A budget that refills over time. */
export class TokenBucket {
  readonly #limits: BucketLimits;
  #tokens: number;
  #lastRefillMs: number;

  constructor(limits: BucketLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokens = limits.burst;
    this.#lastRefillMs = nowMs;
  }

  /** Spends units if there are enough. @returns whether there were enough */
  spend(nowMs: number, units = 1): boolean {
    this.#refill(nowMs);
    if (this.#tokens < units) return false;
    this.#tokens -= units;
    return true;
  }

  /** Subtracts units that are already used, down to minus one burst. @returns whether there were enough */
  charge(nowMs: number, units = 1): boolean {
    this.#refill(nowMs);
    this.#tokens = Math.max(-this.#limits.burst, this.#tokens - units);
    return this.#tokens >= 0;
  }

  /** Adds units, up to `max` in all. */
  credit(units: number, max: number): void {
    this.#tokens = Math.max(this.#tokens, Math.min(max, this.#tokens + units));
  }

  /** Whether the bucket is full, so that a new one is the same. */
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
