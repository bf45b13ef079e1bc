import type { Clock } from '../../../shared/util/clock.ts';
import { addressBlock, wideAddressBlock } from './address-block.ts';
import { isLoopback } from '../../../shared/util/loopback.ts';

interface RateLimit {
  /** Refusals at once; beyond that, so many a second. */
  readonly burst: number;
  readonly perSecond: number;
}

/** Of an address, or of the /64 that one machine has all addresses of. */
const BLOCK_LIMIT: RateLimit = { burst: 30, perSecond: 0.5 };
/** Of the network around it: a /24, or the /48 that a provider gives to whoever asks. */
const WIDE_BLOCK_LIMIT: RateLimit = { burst: 120, perSecond: 2 };
/** Of all addresses. Above it, a block that has been refused at all is not heard until that is forgotten. */
const TOTAL_LIMIT: RateLimit = { burst: 600, perSecond: 10 };
/** The one entry that counts all of them; no block is called so. */
const TOTAL_KEY = 'all';
/** More blocks than this are nobody's mistakes; those that came first are forgotten. */
const MAX_BLOCKS = 20_000;

/**
 * How often each network has been refused lately: a client that guesses tokens does not get far, from however many
 * addresses. A network that has never been refused is heard, whatever the others do.
 */
export class RefusalRateLimiter {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #refused = new Map<string, { readonly times: number; readonly countedMs: number }>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** A client at this address was refused. */
  recordRefusal(address: string): void {
    if (isLoopback(address)) return;
    this.#add(addressBlock(address), BLOCK_LIMIT);
    this.#add(wideAddressBlock(address), WIDE_BLOCK_LIMIT);
    this.#add(TOTAL_KEY, TOTAL_LIMIT);
  }

  /** Whether no client there is heard for now. Those on this machine always are. */
  isBlocked(address: string): boolean {
    if (isLoopback(address)) return false;
    const block = addressBlock(address);
    const most = this.#isOverLimit(TOTAL_KEY, TOTAL_LIMIT) ? 1 : BLOCK_LIMIT.burst;
    return (
      this.#refusalCount(block, BLOCK_LIMIT) > most - 1 ||
      this.#isOverLimit(wideAddressBlock(address), WIDE_BLOCK_LIMIT)
    );
  }

  #isOverLimit(key: string, level: RateLimit): boolean {
    return this.#refusalCount(key, level) > level.burst - 1;
  }

  #add(key: string, level: RateLimit): void {
    const times = this.#refusalCount(key, level) + 1;
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
