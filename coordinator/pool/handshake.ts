import type { Clock } from '../../shared/util/clock.ts';
import { closeReason, CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type { Hello, Watch } from '../../shared/protocol/messages.ts';
import { parseFromWorker } from '../../shared/protocol/parse.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { checkVersion } from './admission.ts';

/** What a connection's owner hands on. */
export interface ConnectionHandler {
  onFrame(frame: Uint8Array): void;
  onClose(code: number, reason: string): void;
  /** False as long as nobody has been let in by what was said. */
  readonly authenticated?: boolean;
  /** The largest message that it takes now. A connection that sends more is closed before it is complete. */
  readonly maxMessageBytes?: number;
  /** Bytes of frames that it keeps until another frame comes. */
  readonly heldBytes?: number;
  /** Messages that one frame sent to the peer may be answered by. @default 0 */
  readonly answersPerFrame?: number;
}

export interface HandshakeHandler {
  /**
   * Lets a worker in, and says who hears it from then on.
   * @throws ProtocolError with what it is told instead
   */
  acceptWorker(hello: Hello): ConnectionHandler;
  /** The same for somebody who only looks on. */
  acceptObserver(message: Watch): ConnectionHandler;
  onRefused(reason: string): void;
}

const HELLO_TIMEOUT_MS = 10_000;
/** No hello is larger. */
const MAX_HELLO_BYTES = 64 << 10;

/** Connections that have not said hello yet, each with its deadline. */
export class Handshake {
  readonly #clock: Clock;
  readonly #pending = new Set<(error: ProtocolError) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  accept(connection: Connection, host: HandshakeHandler): ConnectionHandler {
    let welcomed: ConnectionHandler | null = null;
    let refused = false;
    const sendAway = (error: ProtocolError): void => {
      refused = true;
      forget();
      connection.close(error.code, closeReason(error.message));
    };
    const refuse = (error: ProtocolError): void => {
      sendAway(error);
      host.onRefused(error.message);
    };
    const cancelDeadline = this.#clock.after(HELLO_TIMEOUT_MS, () =>
      refuse(new ProtocolError(CloseCode.timeout, `No hello within ${HELLO_TIMEOUT_MS / 1000} s.`)),
    );
    const forget = (): void => {
      cancelDeadline();
      this.#pending.delete(sendAway);
    };
    this.#pending.add(sendAway);
    return {
      get authenticated() {
        return welcomed !== null;
      },
      get maxMessageBytes() {
        return welcomed === null ? MAX_HELLO_BYTES : (welcomed.maxMessageBytes ?? Infinity);
      },
      get heldBytes() {
        return welcomed?.heldBytes ?? 0;
      },
      get answersPerFrame() {
        return welcomed?.answersPerFrame ?? 0;
      },
      onFrame(frame) {
        // What arrives until the close is done is too late.
        if (refused) return;
        if (welcomed !== null) {
          welcomed.onFrame(frame);
          return;
        }
        try {
          const message = parseFirstMessage(frame);
          welcomed = message.type === 'hello' ? host.acceptWorker(message) : host.acceptObserver(message);
          forget();
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          refuse(error);
        }
      },
      onClose(code, reason) {
        forget();
        welcomed?.onClose(code, reason);
      },
    };
  }

  /** Sends everybody away who is still waiting: nobody's fault, and no news. */
  close(reason: string): void {
    for (const sendAway of this.#pending) sendAway(new ProtocolError(CloseCode.normal, reason));
  }
}

function parseFirstMessage(frame: Uint8Array): Hello | Watch {
  if (frame.length > MAX_HELLO_BYTES) throw frameTooLargeError(frame.length, MAX_HELLO_BYTES);
  checkVersion(frame);
  const { message } = parseFromWorker(frame);
  if (message.type === 'hello' || message.type === 'watch') return message;
  throw new ProtocolError(CloseCode.unexpected, `The first message has to be a hello, not ${message.type}.`);
}

export const frameTooLargeError = (bytes: number, most: number): ProtocolError =>
  new ProtocolError(CloseCode.tooLarge, `A frame of ${bytes} bytes; the most is ${most} here.`);
