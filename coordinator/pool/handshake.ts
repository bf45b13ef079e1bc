import type { Clock } from '../../shared/util/clock.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type { Hello, Watch } from '../../shared/protocol/messages.ts';
import { parseFromWorker } from '../../shared/protocol/frame.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import type { ConnectionHandler } from '../server/websocket.ts';
import { checkVersion } from './admission.ts';

export interface HandshakeHandler {
  /**
   * Admits a worker.
   * @returns the receiver of its further frames
   * @throws ProtocolError if it is refused
   */
  acceptWorker(hello: Hello): ConnectionHandler;
  /** Admits an observer, a read-only client. */
  acceptObserver(message: Watch): ConnectionHandler;
  /** Called with the receiver of all further frames, before the next one is read. */
  onAccepted(receiver: ConnectionHandler): void;
  onRefused(reason: string): void;
}

const HELLO_TIMEOUT_MS = 10_000;
const MAX_HELLO_BYTES = 64 << 10;

/** Connections that have not sent a hello yet, each with a deadline. */
export class Handshake {
  readonly #clock: Clock;
  readonly #pending = new Set<(error: ProtocolError) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Accepts a new connection. @returns the receiver of its first frame; see onAccepted for the others */
  accept(connection: Connection, handler: HandshakeHandler): ConnectionHandler {
    let refused = false;
    const closeWith = (error: ProtocolError): void => {
      refused = true;
      stopWaiting();
      connection.close(error.code, closeReason(error.message));
    };
    const refuse = (error: ProtocolError): void => {
      closeWith(error);
      // A worker that comes between two runs is no news.
      if (error.code !== CloseCode.noRun) handler.onRefused(error.message);
    };
    const cancelDeadline = this.#clock.after(HELLO_TIMEOUT_MS, () =>
      refuse(new ProtocolError(CloseCode.timeout, `No hello within ${HELLO_TIMEOUT_MS / 1000} s.`)),
    );
    const stopWaiting = (): void => {
      cancelDeadline();
      this.#pending.delete(closeWith);
    };
    this.#pending.add(closeWith);
    return {
      authenticated: false,
      maxMessageBytes: MAX_HELLO_BYTES,
      onFrame(frame) {
        // Frames may still arrive until the connection is closed.
        if (refused) return;
        try {
          const message = parseFirstMessage(frame);
          const receiver =
            message.type === 'hello' ? handler.acceptWorker(message) : handler.acceptObserver(message);
          stopWaiting();
          handler.onAccepted(receiver);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          refuse(error);
        }
      },
      onClose: stopWaiting,
    };
  }

  /** Closes the pending connections, without reporting them as refused. */
  close(reason: string): void {
    for (const closePending of this.#pending) closePending(new ProtocolError(CloseCode.normal, reason));
  }
}

function parseFirstMessage(frame: Uint8Array): Hello | Watch {
  if (frame.length > MAX_HELLO_BYTES) throw frameTooLargeError(frame.length, MAX_HELLO_BYTES);
  checkVersion(frame);
  const { message } = parseFromWorker(frame);
  if (message.type === 'hello' || message.type === 'watch') return message;
  throw new ProtocolError(CloseCode.unexpected, `The first message must be a hello, not ${message.type}.`);
}

export const frameTooLargeError = (bytes: number, maxBytes: number): ProtocolError =>
  new ProtocolError(
    CloseCode.tooLarge,
    `A frame of ${bytes} bytes is larger than the limit of ${maxBytes} bytes.`,
  );
