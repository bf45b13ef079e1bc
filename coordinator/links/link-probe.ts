import type { Clock } from '../../shared/util/clock.ts';
import type { Delivery } from './meter.ts';

export interface LinkProbeOptions {
  readonly clock: Clock;
  /** Sends a ping. @returns its number */
  readonly ping: () => number;
  /** Receives the time until all messages before a ping were answered, then without the first of them, and so on. */
  readonly onMeasured: (deliveries: readonly Delivery[]) => void;
}

/** Smaller messages take too little time to be measured. */
const MIN_BYTES = 32 << 10;
const MAX_MESSAGES = 64;
/** Several, because a worker answers the first one late: it has just built its model. */
const INITIAL_PINGS = 3;

interface SentMessage {
  readonly bytes: number;
  readonly sentMs: number;
}

/**
 * Measures how fast a link takes data. A ping follows each large message, or the last bucket of a vector; its answer says
 * when all of them had arrived. (The answer to a ping behind an earlier bucket would wait for other messages of the
 * worker.) Messages that are sent while a ping is unanswered are not measured; the next measurement begins when they have
 * arrived.
 */
export class LinkProbe {
  readonly #options: LinkProbeOptions;
  /** Messages since the last ping. */
  #sent: SentMessage[] = [];
  /** The ping that is not answered yet. Its messages are null if it only waits until the link is idle. */
  #outstanding: { readonly id: number; readonly messages: readonly SentMessage[] | null } | null = null;
  /** Number of pings for the round trip alone that are still to be sent. */
  #initialPingsLeft = 0;
  /** Whether large messages have been sent since the outstanding ping. */
  #sentSincePing = false;

  constructor(options: LinkProbeOptions) {
    this.#options = options;
  }

  /** Begins with a few pings for the round trip alone. */
  start(): void {
    this.#initialPingsLeft = INITIAL_PINGS;
    this.#pingWithoutPayload();
  }

  /** Records a sent message. @param more whether it is a bucket that another bucket follows as soon as it is ready */
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

  /** Handles the answer to a ping. @returns whether this probe sent the ping */
  onPong(id: number): boolean {
    const outstanding = this.#outstanding;
    if (outstanding?.id !== id) return false;
    this.#outstanding = null;
    const { messages } = outstanding;
    if (messages !== null) this.#options.onMeasured(computeDeliveries(messages, this.#options.clock.now()));
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

  #ping(messages: readonly SentMessage[] | null): void {
    this.#sentSincePing = false;
    this.#sent = [];
    this.#outstanding = { messages, id: this.#options.ping() };
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
