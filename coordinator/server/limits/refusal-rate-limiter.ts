import type { Clock } from '../../../shared/util/clock.ts';
import { isLoopback } from '../../../shared/util/loopback.ts';
import { addressBlock, wideAddressBlock } from './address-block.ts';

interface RateLimit {
  /** Number of refusals before a block is blocked; `perSecond` of them are forgotten each second. */
  readonly burst: number;
  readonly perSecond: number;
}

/** Limit for an IPv4 address, or for the /64 whose addresses one machine can all use. */
const BLOCK_LIMIT: RateLimit = { burst: 30, perSecond: 0.5 };
/** Limit for the network around it: a /24, or the /48 that a provider assigns to any customer. */
const WIDE_BLOCK_LIMIT: RateLimit = { burst: 120, perSecond: 2 };
/** Limit for all addresses. Above it, one refusal is enough to block an address. */
const TOTAL_LIMIT: RateLimit = { burst: 600, perSecond: 10 };
/** Key of the entry for all addresses; no block has this name. */
const TOTAL_KEY = 'all';
/** More blocks than this are an attack, not mistakes; the oldest entries are forgotten. */
const MAX_BLOCKS = 20_000;

/**
 * Blocks networks that have been refused too often lately, so that a client cannot guess tokens, even from many
 * addresses. A network that has never been refused is never blocked.
 */
export class RefusalRateLimiter {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #refused = new Map<string, { readonly times: number; readonly countedMs: number }>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** Counts the refusal of a client. */
  recordRefusal(address: string): void {
    if (isLoopback(address)) return;
    this.#add(addressBlock(address), BLOCK_LIMIT);
    this.#add(wideAddressBlock(address), WIDE_BLOCK_LIMIT);
    this.#add(TOTAL_KEY, TOTAL_LIMIT);
  }

  /** Whether clients at this address are refused unheard for now. This machine is never blocked. */
  isBlocked(address: string): boolean {
    if (isLoopback(address)) return false;
    const block = addressBlock(address);
    const maxRefusals = this.#isOverLimit(TOTAL_KEY, TOTAL_LIMIT) ? 1 : BLOCK_LIMIT.burst;
    return (
      this.#refusalCount(block, BLOCK_LIMIT) > maxRefusals - 1 ||
      this.#isOverLimit(wideAddressBlock(address), WIDE_BLOCK_LIMIT)
    );
  }

  #isOverLimit(key: string, limit: RateLimit): boolean {
    return this.#refusalCount(key, limit) > limit.burst - 1;
  }

  #add(key: string, limit: RateLimit): void {
    const times = this.#refusalCount(key, limit) + 1;
    this.#refused.delete(key);
    this.#refused.set(key, { times, countedMs: this.#clock.now() });
    const [first] = this.#refused.keys();
    if (this.#refused.size > MAX_BLOCKS && first !== undefined) this.#refused.delete(first);
  }

  #refusalCount(key: string, { perSecond }: RateLimit): number {
    const { times, countedMs } = this.#refused.get(key) ?? { times: 0, countedMs: 0 };
    return Math.max(0, times - ((this.#clock.now() - countedMs) / 1000) * perSecond);
  }
}
