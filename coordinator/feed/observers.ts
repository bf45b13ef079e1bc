import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type { FromCoordinator } from '../../shared/protocol/messages.ts';
import { frameFromCoordinator, parseFromWorker } from '../../shared/protocol/parse.ts';
import type { Connection } from '../../shared/transport.ts';
import { tooLarge, type PoolConnection } from '../members/greetings.ts';

const MOST_OBSERVERS = 1_000;
/** What an observer may be behind; the next figures make up for those that it misses. */
const MOST_BUFFERED_BYTES = 1 << 20;

/** Observers have nothing large to say. */
const MOST_FRAME_BYTES = 64 << 10;

interface Observer {
  readonly connection: Connection;
  wantsWeights: boolean;
  /** Whether it wants those that the run ends with. */
  wantsFinal: boolean;
}

/** Everybody who only looks on. They are told what there is to tell; of what they say, hardly anything is heard. */
export class Observers {
  readonly #observers = new Set<Observer>();

  get count(): number {
    return this.#observers.size;
  }

  /**
   * @param first what the observer is sent before all else, in this order
   * @throws ProtocolError (full)
   */
  add(connection: Connection, first: readonly FromCoordinator[]): PoolConnection {
    if (this.#observers.size >= MOST_OBSERVERS) {
      throw new ProtocolError(CloseCode.full, `All ${MOST_OBSERVERS} places for observers are taken.`);
    }
    const observer: Observer = { connection, wantsWeights: false, wantsFinal: false };
    this.#observers.add(observer);
    for (const message of first) connection.send(frameFromCoordinator(message));
    return {
      onFrame: (frame) => this.#onFrame(observer, frame),
      onClose: () => void this.#observers.delete(observer),
    };
  }

  /** Sends a message to all who can take it. */
  tell(message: FromCoordinator): void {
    if (this.#observers.size === 0) return;
    const frame = frameFromCoordinator(message);
    for (const { connection } of this.#observers) {
      if (connection.bufferedBytes < MOST_BUFFERED_BYTES) connection.send(frame);
    }
  }

  /** @param frame made only if somebody has asked for weights */
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
  sendFinal(frame: () => Uint8Array): void {
    const wanting = [...this.#observers].filter(
      ({ wantsFinal, connection }) => wantsFinal && connection.bufferedBytes < MOST_BUFFERED_BYTES,
    );
    if (wanting.length === 0) return;
    const bytes = frame();
    for (const { connection } of wanting) connection.send(bytes);
  }

  close(reason: string): void {
    for (const { connection } of this.#observers) connection.close(CloseCode.normal, closeReason(reason));
    this.#observers.clear();
  }

  #onFrame(observer: Observer, frame: Uint8Array): void {
    try {
      if (frame.length > MOST_FRAME_BYTES) throw tooLarge(frame.length, MOST_FRAME_BYTES);
      const { message } = parseFromWorker(frame);
      if (message.type === 'pong') return;
      if (message.type !== 'snapshot') {
        throw new ProtocolError(CloseCode.unexpected, `An observer does not say ${message.type}.`);
      }
      if (message.atEnd === true) observer.wantsFinal = true;
      else observer.wantsWeights = true;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      observer.connection.close(error.code, closeReason(error.message));
      this.#observers.delete(observer);
    }
  }
}
