import type { Clock } from '../../shared/clock.ts';
import { isLoopback } from '../server/reachable.ts';

/** An address may be refused so often at once; beyond that, so often a second. */
const AT_ONCE = 30;
const PER_SECOND = 0.5;
/** More addresses than this are nobody's mistakes; those that came first are forgotten. */
const MOST_ADDRESSES = 10_000;

/** How often each address has been refused lately: whoever guesses tokens does not get far. */
export class Allowances {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #refused = new Map<string, { readonly times: number; readonly countedMs: number }>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** Somebody at this address was refused. */
  spend(address: string): void {
    const times = this.#times(address) + 1;
    this.#refused.delete(address);
    this.#refused.set(address, { times, countedMs: this.#clock.now() });
    const [first] = this.#refused.keys();
    if (this.#refused.size > MOST_ADDRESSES && first !== undefined) this.#refused.delete(first);
  }

  /** Whether nobody there is heard for now. This machine's own people always are. */
  isSpent(address: string): boolean {
    return !isLoopback(address) && this.#times(address) > AT_ONCE - 1;
  }

  #times(address: string): number {
    const { times, countedMs } = this.#refused.get(address) ?? { times: 0, countedMs: 0 };
    return Math.max(0, times - ((this.#clock.now() - countedMs) / 1000) * PER_SECOND);
  }
}
