import type { Clock } from '../../shared/clock.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';

/** As many may come at once; beyond that, so many a second. */
const AT_ONCE = 250;
const PER_SECOND = 50;

/** Lets workers in at a bounded rate: after a break of the network all of them come back together. */
export class Arrivals {
  readonly #clock: Clock;
  #room = AT_ONCE;
  #countedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#countedMs = clock.now();
  }

  /**
   * Takes a place.
   * @throws ProtocolError (full)
   */
  take(): void {
    const now = this.#clock.now();
    this.#room = Math.min(AT_ONCE, this.#room + ((now - this.#countedMs) / 1000) * PER_SECOND);
    this.#countedMs = now;
    if (this.#room < 1) {
      throw new ProtocolError(CloseCode.full, 'Too many workers come at once; come back in some seconds.');
    }
    this.#room--;
  }
}
