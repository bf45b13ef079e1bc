import type { Clock } from '../../../shared/util/clock.ts';
import { TokenBucket, type BucketLimits } from './token-bucket.ts';

export interface BlockRateLimits {
  readonly perBlock: BucketLimits;
  readonly total: BucketLimits;
}

/** Blocks beyond this number have no budget of their own and share the total one. Each takes some hundred bytes. */
const MAX_BLOCKS = 10_000;
/** A cleanup takes some hundred microseconds. */
const CLEANUP_INTERVAL_MS = 1_000;

/** Rate limit for each address block, and one for all blocks together. */
export class BlockRateLimiter {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #limits: BlockRateLimits;
  readonly #total: TokenBucket;
  readonly #blocks = new Map<string, TokenBucket>();
  #lastCleanupMs = -Infinity;

  constructor(clock: Pick<Clock, 'now'>, limits: BlockRateLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#total = new TokenBucket(limits.total, clock.now());
  }

  /**
   * Spends units of a block's budget and of the total budget.
   * @returns false if either has too few units left; a block without units does not use up the total budget
   */
  spend(block: string, units = 1): boolean {
    const nowMs = this.#clock.now();
    return this.#getBucket(block, nowMs).spend(nowMs, units) && this.#total.spend(nowMs, units);
  }

  /** The same for units that are already used: the block's budget may become negative. */
  charge(block: string, units = 1): boolean {
    const nowMs = this.#clock.now();
    return this.#getBucket(block, nowMs).charge(nowMs, units) && this.#total.spend(nowMs, units);
  }

  #getBucket(block: string, nowMs: number): TokenBucket {
    const existing = this.#blocks.get(block);
    if (existing !== undefined) return existing;
    if (this.#blocks.size >= MAX_BLOCKS) this.#removeFull(nowMs);
    const bucket = new TokenBucket(this.#limits.perBlock, nowMs);
    if (this.#blocks.size < MAX_BLOCKS) this.#blocks.set(block, bucket);
    return bucket;
  }

  #removeFull(nowMs: number): void {
    if (nowMs - this.#lastCleanupMs < CLEANUP_INTERVAL_MS) return;
    this.#lastCleanupMs = nowMs;
    for (const [block, bucket] of this.#blocks) {
      if (bucket.isFull(nowMs)) this.#blocks.delete(block);
    }
  }
}
