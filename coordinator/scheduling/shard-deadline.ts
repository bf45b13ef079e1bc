/** Before anybody has answered, engines are still warming up. */
const INITIAL_TIMEOUT_MS = 180_000;
const MIN_TIMEOUT_MS = 30_000;
const TIMEOUT_FACTOR = 10;
const DECAY = 0.95;

/** How long a worker may keep a shard: a multiple of the longest that shards have lately taken. */
export class ShardDeadline {
  #longestMs: number | null = null;

  record(elapsedMs: number): void {
    this.#longestMs = Math.max(elapsedMs, (this.#longestMs ?? 0) * DECAY);
  }

  get timeoutMs(): number {
    return this.#longestMs === null
      ? INITIAL_TIMEOUT_MS
      : Math.max(MIN_TIMEOUT_MS, TIMEOUT_FACTOR * this.#longestMs);
  }
}
