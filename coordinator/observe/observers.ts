import type { Clock } from '../../shared/util/clock.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type { FromCoordinator } from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/parse.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { BlockRateLimiter } from '../server/limits/block-rate-limiter.ts';
import { frameTooLargeError, type ConnectionHandler } from '../pool/handshake.ts';

export interface ObserversOptions {
  readonly clock: Clock;
  /** Places. @default MAX_OBSERVERS */
  readonly maxObservers?: number | undefined;
  /** Numbers of pings: integers that no client can guess. */
  readonly createPingId: () => number;
}

const MAX_OBSERVERS = 1_000;
/** What an observer may be behind; the next figures make up for those that it misses. */
const MAX_BUFFERED_BYTES = 1 << 20;
/** Observers have nothing large to say. */
const MAX_FRAME_BYTES = 64 << 10;
/** The whole curve is sent to each that comes: some hundred microseconds. */
const JOIN_LIMITS = { perBlock: { burst: 200, perSecond: 10 }, total: { burst: 500, perSecond: 20 } };
/** A page takes 30 s of silence for an end. */
const PING_INTERVAL_MS = 10_000;
/** As long as a worker may be silent. */
const PONG_TIMEOUT_MS = 60_000;

interface Observer {
  readonly connection: Connection;
  readonly block: string;
  wantsWeights: boolean;
  /** Whether it wants those that the run ends with. */
  wantsFinal: boolean;
  /** When its last ping was sent, or else when it came. */
  pingedMs: number;
  /** Of a ping that it has not answered. */
  pingId: number | null;
}

/**
 * Read-only clients. Only `pong` and `snapshot` are accepted from them. Each has to answer pings whose numbers it cannot
 * guess: one that does not read holds no place.
 */
export class Observers {
  readonly #options: ObserversOptions;
  readonly #maxObservers: number;
  readonly #joinLimiter: BlockRateLimiter;
  /** In the order in which they came. */
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
   * @param first makes what the observer is sent before all else, in this order; called if it is admitted
   * @throws ProtocolError (full)
   */
  add(connection: Connection, first: () => readonly FromCoordinator[]): ConnectionHandler {
    const block = connection.addressBlock ?? '';
    if (!this.#joinLimiter.spend(block)) {
      throw new ProtocolError(
        CloseCode.noFreeSlot,
        'Too many observers come at once; come back in some seconds.',
      );
    }
    if (this.#observers.size >= this.#maxObservers && !this.#evictForBlock(block)) {
      throw new ProtocolError(
        CloseCode.noFreeSlot,
        `All ${this.#maxObservers} places for observers are taken.`,
      );
    }
    const pingedMs = this.#options.clock.now();
    const observer: Observer = {
      connection,
      block,
      wantsWeights: false,
      wantsFinal: false,
      pingedMs,
      pingId: null,
    };
    const frames = first().map((message) => frameFromCoordinator(message));
    this.#observers.add(observer);
    for (const frame of frames) connection.send(frame);
    return {
      maxMessageBytes: MAX_FRAME_BYTES,
      onFrame: (frame) => this.#onFrame(observer, frame),
      onClose: () => void this.#observers.delete(observer),
    };
  }

  /** Sends a message to all who can take it. */
  broadcast(message: FromCoordinator): void {
    if (this.#observers.size === 0) return;
    const frame = frameFromCoordinator(message);
    for (const { connection } of this.#observers) {
      if (connection.bufferedBytes < MAX_BUFFERED_BYTES) connection.send(frame);
    }
  }

  /** @param frame made only if an observer has asked for weights */
  sendWeights(frame: () => Uint8Array): void {
    const wanting = [...this.#observers].filter(
      ({ wantsWeights, connection }) => wantsWeights && connection.bufferedBytes === 0,
    );
    if (wanting.length === 0) return;
    const bytes = frame();
    for (const observer of wanting) {
      observer.wantsWeights = false;
      observer.connection.send(bytes);
    }
  }

  /** @param frame made only if somebody has asked for the weights that the run ends with */
  sendFinalWeights(frame: () => Uint8Array): void {
    const wanting = [...this.#observers].filter(
      ({ wantsFinal, connection }) => wantsFinal && connection.bufferedBytes < MAX_BUFFERED_BYTES,
    );
    if (wanting.length === 0) return;
    const bytes = frame();
    for (const { connection } of wanting) connection.send(bytes);
  }

  /** Pings those whose last ping is long ago, and closes those that have not answered it; to be called now and then. */
  checkLiveness(): void {
    const nowMs = this.#options.clock.now();
    for (const observer of this.#observers) {
      const agoMs = nowMs - observer.pingedMs;
      if (observer.pingId !== null && agoMs > PONG_TIMEOUT_MS) {
        this.#drop(observer, new ProtocolError(CloseCode.timeout, 'A ping was not answered in time.'));
      } else if (observer.pingId === null && agoMs >= PING_INTERVAL_MS) {
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

  /** Closes the first that came of the network that holds the most places, if that is more than the newcomer's holds. */
  #evictForBlock(block: string): boolean {
    const held = new Map<string, number>();
    for (const observer of this.#observers) held.set(observer.block, (held.get(observer.block) ?? 0) + 1);
    const [largest, most] = [...held].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (most <= (held.get(block) ?? 0) + 1) return false;
    const first = [...this.#observers].find((observer) => observer.block === largest);
    if (first === undefined) return false;
    this.#drop(first, new ProtocolError(CloseCode.noFreeSlot, 'Its place is needed for another network.'));
    return true;
  }

  #drop(observer: Observer, error: ProtocolError): void {
    observer.connection.close(error.code, closeReason(error.message));
    this.#observers.delete(observer);
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
      if (message.type !== 'snapshot') {
        throw new ProtocolError(CloseCode.unexpected, `An observer does not say ${message.type}.`);
      }
      if (message.atEnd === true) observer.wantsFinal = true;
      else observer.wantsWeights = true;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#drop(observer, error);
    }
  }
}
