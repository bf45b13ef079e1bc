import type { Clock } from '../../shared/util/clock.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type { FromCoordinator } from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/frame.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { BlockRateLimiter } from '../server/limits/block-rate-limiter.ts';
import { frameTooLargeError } from '../pool/handshake.ts';
import type { ConnectionHandler } from '../server/websocket.ts';

export interface ObserversOptions {
  readonly clock: Clock;
  /** Number of observers. @default MAX_OBSERVERS */
  readonly maxObservers?: number | undefined;
  /** Returns the number of a new ping: an integer that clients cannot guess. */
  readonly createPingId: () => number;
  /** Creates the answer to a request for details. */
  readonly createDetails: () => Promise<Uint8Array>;
}

const MAX_OBSERVERS = 1_000;
/** Observers with more unsent bytes miss messages; the next message has newer figures. */
const MAX_BUFFERED_BYTES = 1 << 20;
/** Observers send no large messages. */
const MAX_FRAME_BYTES = 64 << 10;
/** Each new observer is sent the whole curve, which takes some hundred microseconds. */
const JOIN_LIMITS = { perBlock: { burst: 200, perSecond: 10 }, total: { burst: 500, perSecond: 20 } };
/** Shorter than 30 s, after which a page takes silence for a lost connection. */
const PING_INTERVAL_MS = 10_000;
/** The same time limit as for workers. */
const PONG_TIMEOUT_MS = 60_000;

interface Observer {
  readonly connection: Connection;
  readonly block: string;
  wantsWeights: boolean;
  /** Whether it wants the weights at the end of the run. */
  wantsFinal: boolean;
  hasDetails: boolean;
  /** Time of its last ping, or of its connection. */
  pingedMs: number;
  /** Number of the unanswered ping; null if there is none. */
  pingId: number | null;
}

/**
 * Read-only clients. Only `pong`, `snapshot` and `inspect` are accepted from them. Each must answer pings whose numbers it cannot
 * guess, so that a client that does not read is disconnected.
 */
export class Observers {
  readonly #options: ObserversOptions;
  readonly #maxObservers: number;
  readonly #joinLimiter: BlockRateLimiter;
  /** Observers, the oldest first. */
  readonly #observers = new Set<Observer>();

  constructor(options: ObserversOptions) {
    this.#options = options;
    this.#maxObservers = Math.min(options.maxObservers ?? MAX_OBSERVERS, MAX_OBSERVERS);
    this.#joinLimiter = new BlockRateLimiter(options.clock, JOIN_LIMITS);
  }

  get count(): number {
    return this.#observers.size;
  }

  /**
   * Admits an observer.
   * @param createInitial creates the first messages to the observer; called only if it is admitted
   * @throws ProtocolError (full)
   */
  add(connection: Connection, createInitial: () => readonly FromCoordinator[]): ConnectionHandler {
    const block = connection.addressBlock ?? '';
    if (!this.#joinLimiter.spend(block)) {
      throw new ProtocolError(CloseCode.noFreeSlot, 'Too many new observers. Retry in some seconds.');
    }
    if (this.#observers.size >= this.#maxObservers && !this.#evictForBlock(block)) {
      throw new ProtocolError(
        CloseCode.noFreeSlot,
        `The run already has ${this.#maxObservers} observers, which is the limit.`,
      );
    }
    const pingedMs = this.#options.clock.now();
    const observer: Observer = {
      connection,
      block,
      wantsWeights: false,
      wantsFinal: false,
      hasDetails: false,
      pingedMs,
      pingId: null,
    };
    const frames = createInitial().map((message) => frameFromCoordinator(message));
    this.#observers.add(observer);
    for (const frame of frames) connection.send(frame);
    return {
      maxMessageBytes: MAX_FRAME_BYTES,
      onFrame: (frame) => this.#onFrame(observer, frame),
      onClose: () => void this.#observers.delete(observer),
    };
  }

  /** Sends a message to all observers, except those with too many unsent bytes. */
  broadcast(message: FromCoordinator): void {
    if (this.#observers.size === 0) return;
    const frame = frameFromCoordinator(message);
    for (const { connection } of this.#observers) {
      if (connection.bufferedBytes < MAX_BUFFERED_BYTES) connection.send(frame);
    }
  }

  /** Sends weights to the observers that requested them. @param createFrame called only if there is such an observer */
  sendWeights(createFrame: () => Uint8Array): void {
    const recipients = [...this.#observers].filter(
      ({ wantsWeights, connection }) => wantsWeights && connection.bufferedBytes === 0,
    );
    if (recipients.length === 0) return;
    const frame = createFrame();
    for (const observer of recipients) {
      observer.wantsWeights = false;
      observer.connection.send(frame);
    }
  }

  /** The same for the weights at the end of the run. */
  sendFinalWeights(createFrame: () => Uint8Array): void {
    const recipients = [...this.#observers].filter(
      ({ wantsFinal, connection }) => wantsFinal && connection.bufferedBytes < MAX_BUFFERED_BYTES,
    );
    if (recipients.length === 0) return;
    const frame = createFrame();
    for (const { connection } of recipients) connection.send(frame);
  }

  /** Pings each observer from time to time, and closes those that did not answer in time. Called at regular intervals. */
  checkLiveness(): void {
    const nowMs = this.#options.clock.now();
    for (const observer of this.#observers) {
      const elapsedMs = nowMs - observer.pingedMs;
      if (observer.pingId !== null && elapsedMs > PONG_TIMEOUT_MS) {
        this.#drop(observer, new ProtocolError(CloseCode.timeout, 'A ping was not answered in time.'));
      } else if (observer.pingId === null && elapsedMs >= PING_INTERVAL_MS) {
        observer.pingId = this.#options.createPingId();
        observer.pingedMs = nowMs;
        observer.connection.send(frameFromCoordinator({ type: 'ping', id: observer.pingId }));
      }
    }
  }

  close(reason: string): void {
    for (const { connection } of this.#observers) connection.close(CloseCode.normal, closeReason(reason));
    this.#observers.clear();
  }

  /** Closes the oldest observer of the network that has the most, if that is more than the new observer's network has. */
  #evictForBlock(block: string): boolean {
    const counts = new Map<string, number>();
    for (const observer of this.#observers) counts.set(observer.block, (counts.get(observer.block) ?? 0) + 1);
    const [largest, count] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (count <= (counts.get(block) ?? 0) + 1) return false;
    const oldest = [...this.#observers].find((observer) => observer.block === largest);
    if (oldest === undefined) return false;
    this.#drop(
      oldest,
      new ProtocolError(CloseCode.noFreeSlot, 'Another network needs the place of this observer.'),
    );
    return true;
  }

  #drop(observer: Observer, error: ProtocolError): void {
    observer.connection.close(error.code, closeReason(error.message));
    this.#observers.delete(observer);
  }

  /** @throws ProtocolError (tooManyMessages) at the second request */
  #sendDetails(observer: Observer): void {
    if (observer.hasDetails) {
      throw new ProtocolError(CloseCode.tooManyMessages, 'Observers may ask for details once.');
    }
    observer.hasDetails = true;
    void this.#options.createDetails().then((frame) => {
      if (this.#observers.has(observer)) observer.connection.send(frame);
    });
  }

  #onFrame(observer: Observer, frame: Uint8Array): void {
    if (!this.#observers.has(observer)) return;
    try {
      if (frame.length > MAX_FRAME_BYTES) throw frameTooLargeError(frame.length, MAX_FRAME_BYTES);
      const { message } = parseFromWorker(frame);
      if (message.type === 'pong') {
        if (message.id === observer.pingId) observer.pingId = null;
        return;
      }
      if (message.type === 'inspect') {
        this.#sendDetails(observer);
        return;
      }
      if (message.type !== 'snapshot') {
        throw new ProtocolError(CloseCode.unexpected, `Observers must not send ${message.type}.`);
      }
      if (message.atEnd === true) observer.wantsFinal = true;
      else observer.wantsWeights = true;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#drop(observer, error);
    }
  }
}
