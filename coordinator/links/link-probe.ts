import type { Clock } from '../../shared/clock.ts';

export interface LinkProbeOptions {
  readonly clock: Clock;
  /** Sends a ping. @returns its number */
  readonly ping: () => number;
  /** Hears how long bytes took to arrive, and the answer to come back. */
  readonly onMeasured: (bytes: number, elapsedMs: number) => void;
}

/** Less is lost in the noise. */
const LEAST_BYTES = 32 << 10;

/**
 * Measures how fast a link takes what is sent: right behind a large message goes a ping, whose answer says when both had
 * arrived. What is sent until then does not count, and is let through before the next measurement begins.
 */
export class LinkProbe {
  readonly #options: LinkProbeOptions;
  #outstanding: { readonly id: number; readonly sentMs: number; readonly bytes: number } | null = null;
  /** Bytes were sent behind the ping that is on its way. */
  #followed = false;

  constructor(options: LinkProbeOptions) {
    this.#options = options;
  }

  /** Pings once by itself, for the delay alone. */
  begin(): void {
    this.#ping(0);
  }

  /** A message is on its way. */
  sent(bytes: number): void {
    if (this.#outstanding !== null) this.#followed ||= bytes >= LEAST_BYTES;
    else if (bytes >= LEAST_BYTES) this.#ping(bytes);
  }

  /** @returns whether the ping was one of these */
  answered(id: number): boolean {
    const outstanding = this.#outstanding;
    if (outstanding?.id !== id) return false;
    this.#outstanding = null;
    if (outstanding.bytes >= 0) {
      this.#options.onMeasured(outstanding.bytes, this.#options.clock.now() - outstanding.sentMs);
    }
    if (this.#followed) this.#ping(-1);
    return true;
  }

  /** @param bytes right ahead of it; -1 if it is only to see that nothing is on its way any more */
  #ping(bytes: number): void {
    this.#followed = false;
    this.#outstanding = { sentMs: this.#options.clock.now(), bytes, id: this.#options.ping() };
  }
}
