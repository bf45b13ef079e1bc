/** Before anybody has answered, engines are still warming up. */
const FIRST_MS = 180_000;
const LEAST_MS = 30_000;
const TIMES_LONGEST = 10;
const FORGET = 0.95;

/** How long a worker may keep a shard: a multiple of the longest that shards have lately taken. */
export class ShardDeadline {
  #longestMs: number | null = null;

  answered(elapsedMs: number): void {
    this.#longestMs = Math.max(elapsedMs, (this.#longestMs ?? 0) * FORGET);
  }

  get afterMs(): number {
    return this.#longestMs === null ? FIRST_MS : Math.max(LEAST_MS, TIMES_LONGEST * this.#longestMs);
  }
}
