import type { Clock } from '../../shared/clock.ts';
import { addressBlock, wideBlock } from '../limits/address-block.ts';
import { isLoopback } from '../server/reachable.ts';

interface Level {
  /** Refusals at once; beyond that, so many a second. */
  readonly atOnce: number;
  readonly perSecond: number;
}

/** Of an address, or of the /64 that one machine has all addresses of. */
const OF_BLOCK: Level = { atOnce: 30, perSecond: 0.5 };
/** Of the network around it: a /24, or the /48 that a provider gives to whoever asks. */
const OF_WIDE_BLOCK: Level = { atOnce: 120, perSecond: 2 };
/** Of all addresses. Above it, a block that has been refused at all is not heard until that is forgotten. */
const IN_ALL: Level = { atOnce: 600, perSecond: 10 };
/** The one entry that counts all of them; no block is called so. */
const ALL = 'all';
/** More blocks than this are nobody's mistakes; those that came first are forgotten. */
const MAX_BLOCKS = 20_000;

/**
 * How often each network has been refused lately: a client that guesses tokens does not get far, from however many
 * addresses. A network that has never been refused is heard, whatever the others do.
 */
export class Allowances {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #refused = new Map<string, { readonly times: number; readonly countedMs: number }>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** A client at this address was refused. */
  spend(address: string): void {
    if (isLoopback(address)) return;
    this.#count(addressBlock(address), OF_BLOCK);
    this.#count(wideBlock(address), OF_WIDE_BLOCK);
    this.#count(ALL, IN_ALL);
  }

  /** Whether no client there is heard for now. Those on this machine always are. */
  isSpent(address: string): boolean {
    if (isLoopback(address)) return false;
    const block = addressBlock(address);
    const most = this.#isAbove(ALL, IN_ALL) ? 1 : OF_BLOCK.atOnce;
    return this.#times(block, OF_BLOCK) > most - 1 || this.#isAbove(wideBlock(address), OF_WIDE_BLOCK);
  }

  #isAbove(key: string, level: Level): boolean {
    return this.#times(key, level) > level.atOnce - 1;
  }

  #count(key: string, level: Level): void {
    const times = this.#times(key, level) + 1;
    this.#refused.delete(key);
    this.#refused.set(key, { times, countedMs: this.#clock.now() });
    const [first] = this.#refused.keys();
    if (this.#refused.size > MAX_BLOCKS && first !== undefined) this.#refused.delete(first);
  }

  #times(key: string, { perSecond }: Level): number {
    const { times, countedMs } = this.#refused.get(key) ?? { times: 0, countedMs: 0 };
    return Math.max(0, times - ((this.#clock.now() - countedMs) / 1000) * perSecond);
  }
}
