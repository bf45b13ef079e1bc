import type { Clock } from '../../shared/util/clock.ts';
import type { Delivery } from './meter.ts';

export interface LinkProbeOptions {
  readonly clock: Clock;
  /** Sends a ping. @returns its number */
  readonly ping: () => number;
  /**
   * Hears how long what was sent took to arrive, and the answer to come back: of all messages together, of all but the
   * first, and so on.
   */
  readonly onMeasured: (deliveries: readonly Delivery[]) => void;
}

/** Less is lost in the noise. */
const MIN_BYTES = 32 << 10;
const MAX_MESSAGES = 64;
/** The first answers come from a worker that has just been busy building its model. */
const INITIAL_PINGS = 3;

interface SentMessage {
  readonly bytes: number;
  readonly sentMs: number;
}

/**
 * Measures how fast a link takes what is sent: right behind a large message, or the last of its pieces, goes a ping, whose
 * answer says when both had arrived. (Behind an earlier piece the answer would wait for what the worker sends meanwhile.)
 * What is sent until then does not count, and is let through before the next measurement begins.
 */
export class LinkProbe {
  readonly #options: LinkProbeOptions;
  /** Behind which there is no ping yet. */
  #sent: SentMessage[] = [];
  /** Null for one that is only to see that nothing is on its way any more. */
  #outstanding: { readonly id: number; readonly behind: readonly SentMessage[] | null } | null = null;
  /** Of those that are for the delay alone, how many are still to be sent. */
  #initialPingsLeft = 0;
  /** Bytes were sent behind the ping that is on its way. */
  #sentSincePing = false;

  constructor(options: LinkProbeOptions) {
    this.#options = options;
  }

  /** Pings by itself, for the delay alone. */
  start(): void {
    this.#initialPingsLeft = INITIAL_PINGS;
    this.#pingWithoutPayload();
  }

  /**
   * A message is on its way.
   * @param more whether it is a piece behind which another one follows as soon as that is there
   */
  recordSent(bytes: number, more = false): void {
    if (bytes < MIN_BYTES) return;
    if (this.#outstanding !== null) {
      this.#sentSincePing = true;
      return;
    }
    this.#sent.push({ bytes, sentMs: this.#options.clock.now() });
    if (this.#sent.length > MAX_MESSAGES) this.#sent.shift();
    if (!more) this.#ping(this.#sent);
  }

  /** @returns whether the ping was one of these */
  onPong(id: number): boolean {
    const outstanding = this.#outstanding;
    if (outstanding?.id !== id) return false;
    this.#outstanding = null;
    const { behind } = outstanding;
    if (behind !== null) this.#options.onMeasured(computeDeliveries(behind, this.#options.clock.now()));
    if (this.#sentSincePing) {
      this.#initialPingsLeft = 0;
      this.#ping(null);
    } else if (this.#initialPingsLeft > 0) {
      this.#pingWithoutPayload();
    }
    return true;
  }

  #pingWithoutPayload(): void {
    this.#initialPingsLeft--;
    this.#ping([{ bytes: 0, sentMs: this.#options.clock.now() }]);
  }

  #ping(behind: readonly SentMessage[] | null): void {
    this.#sentSincePing = false;
    this.#sent = [];
    this.#outstanding = { behind, id: this.#options.ping() };
  }
}

function computeDeliveries(sent: readonly SentMessage[], nowMs: number): Delivery[] {
  let bytes = sent.reduce((sum, message) => sum + message.bytes, 0);
  return sent.map((message) => {
    const delivery = { bytes, elapsedMs: nowMs - message.sentMs };
    bytes -= message.bytes;
    return delivery;
  });
}
