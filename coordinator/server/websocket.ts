import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../shared/util/clock.ts';
import { closeReason, CloseCode } from '../../shared/protocol/close-codes.ts';
import { MAX_WORKER_HEADER_BYTES } from '../../shared/protocol/frame.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { isLoopback } from '../../shared/util/loopback.ts';
import { addressBlock } from './limits/address-block.ts';
import type { ReceiveBudget } from './limits/receive-budget.ts';
import { TokenBucket } from './limits/token-bucket.ts';

/** Receiver of one connection's frames. */
export interface ConnectionHandler {
  onFrame(frame: Uint8Array): void;
  onClose(code: number, reason: string): void;
  /** Whether the client has been admitted. @default true */
  readonly authenticated?: boolean;
  /** Size of the largest message that is accepted now; larger ones close the connection. @default Infinity */
  readonly maxMessageBytes?: number;
  /** Number of messages with which a client may answer one frame. @default 0 */
  readonly answersPerFrame?: number;
}

/** The socket of a WebSocket. */
export type UpgradedSocket = Duplex & Pick<Socket, 'remoteAddress' | 'remotePort'>;

export interface AttachOptions {
  readonly clock: Clock;
  /**
   * Called with each new connection.
   * @param onAccepted call it with a handler that replaces the returned one, such as after a handshake
   * @returns handler of the first frames
   */
  readonly connect: (
    connection: Connection,
    onAccepted: (handler: ConnectionHandler) => void,
  ) => ConnectionHandler;
  readonly receiveBudget: ReceiveBudget;
  /** Called once when the client has been admitted. */
  readonly onAdmitted: () => void;
  /** Called once at the end. @param isFault whether the client was refused, or its messages broke a rule */
  readonly onEnded: (isFault: boolean) => void;
}

/** More than any hello; a client that sends more before it is admitted is disconnected. */
const MAX_UNAUTHENTICATED_BYTES = 128 << 10;
/** Time for a client to answer a close before it is disconnected. */
export const CLOSE_GRACE_MS = 1_000;
/**
 * Limits on messages and control frames that answer nothing, such as pings of a WebSocket library. Each frame that is sent
 * to the client adds its answers to the budget.
 */
const UNSOLICITED_MESSAGE_LIMITS = { burst: 60, perSecond: 5 };
/** Largest number of outstanding answers: more than 64 buckets for each of several shards. */
const MAX_CREDIT = 1_024;
/** Close codes that a correct client does not receive repeatedly. */
const FAULT_CODES: ReadonlySet<number> = new Set<number>([
  CloseCode.malformed,
  CloseCode.unauthorized,
  CloseCode.unexpected,
  CloseCode.tooLarge,
  CloseCode.tooManyMessages,
]);

/** Connects a WebSocket to its handler, and limits the data that its client may send. */
export function attachWebSocket(webSocket: WebSocket, socket: UpgradedSocket, options: AttachOptions): void {
  const { clock, connect, receiveBudget, onAdmitted, onEnded } = options;
  const receiveTiming = new ReceiveTiming();
  const messageBudget = new TokenBucket(UNSOLICITED_MESSAGE_LIMITS, clock.now());
  let closeCode: number | null = null;
  let hasEnded = false;
  let isPending = true;
  let unauthenticatedBytes = 0;

  const connection: Connection = {
    isSameMachine: isLoopback(socket.remoteAddress ?? ''),
    addressBlock: addressBlock(socket.remoteAddress ?? ''),
    get receiveTiming() {
      return receiveTiming.lastMessage;
    },
    send(frame) {
      messageBudget.credit(handler?.answersPerFrame ?? 0, MAX_CREDIT);
      webSocket.send(frame);
    },
    close(code, reason) {
      closeCode ??= code;
      webSocket.close(code, reason);
      setTimeout(() => webSocket.terminate(), CLOSE_GRACE_MS).unref();
    },
    terminate: () => webSocket.terminate(),
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
  };
  const end = (code: number, reason: string): void => {
    if (hasEnded) return;
    hasEnded = true;
    account.close();
    handler?.onClose(code, reason);
    onEnded(
      handler?.authenticated === false
        ? closeCode !== CloseCode.noFreeSlot && closeCode !== CloseCode.noRun
        : FAULT_CODES.has(closeCode ?? 0),
    );
  };
  /** Closes the connection because its client broke a rule, and stops reading. */
  const disconnect = (code: CloseCode, reason: string): void => {
    connection.close(code, closeReason(reason));
    webSocket.pause();
    end(code, reason);
  };
  const account = receiveBudget.open({
    pause: () => webSocket.pause(),
    resume: () => webSocket.resume(),
    expire: () => disconnect(CloseCode.timeout, 'A message was too slow while other clients waited.'),
  });
  /** Counts a message or a control frame. @returns whether to handle it */
  const accept = (units = 1): boolean => {
    if (hasEnded) return false;
    if (messageBudget.spend(clock.now(), units)) return true;
    disconnect(CloseCode.tooManyMessages, 'Too many unrequested messages.');
    return false;
  };

  let handler: ConnectionHandler | null = null;
  // Runs before the WebSocket's own listener, which reports complete messages.
  socket.prependListener('data', (chunk: Buffer) => {
    if (hasEnded) return;
    receiveTiming.addChunk(chunk.length, performance.now());
    if (handler?.authenticated === false) {
      unauthenticatedBytes += chunk.length;
      if (unauthenticatedBytes > MAX_UNAUTHENTICATED_BYTES) webSocket.terminate();
      return;
    }
    const maxBytes = handler?.maxMessageBytes ?? Infinity;
    if (receiveTiming.unfinishedBytes > maxBytes + MAX_UNAUTHENTICATED_BYTES) {
      disconnect(CloseCode.tooLarge, `The frame is larger than the limit of ${maxBytes} bytes.`);
      return;
    }
    account.setHeldBytes(receiveTiming.unfinishedMemoryBytes);
  });
  handler = connect(connection, (accepted) => {
    handler = accepted;
  });
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    receiveTiming.endMessage();
    if (!accept(isBinary ? frameCost(data as Buffer) : 1)) return;
    if (isBinary) {
      handler?.onFrame(data as Buffer);
      account.setHeldBytes(0);
      if (isPending && handler?.authenticated !== false) {
        isPending = false;
        onAdmitted();
      }
    } else {
      connection.close(CloseCode.malformed, closeReason('Messages must be binary frames, not text.'));
    }
  });
  webSocket.on('ping', (data) => {
    if (accept()) webSocket.pong(data);
  });
  webSocket.on('pong', () => void accept());
  webSocket.on('close', (code, reason) => end(code, sanitizeForTerminal(reason.toString())));
  // A 'close' event with the reason follows.
  webSocket.on('error', () => undefined);
}

/** Parsing this part of a header takes as long as a small message. */
export const HEADER_BYTES_PER_UNIT = 512;

/** Cost of parsing a frame in messages: a header of 16 KiB takes a millisecond, a payload next to nothing. */
function frameCost(frame: Buffer): number {
  const headerBytes = frame.length < 4 ? 0 : Math.min(frame.readUInt32LE(0), frame.length);
  return 1 + Math.floor(Math.min(headerBytes, MAX_WORKER_HEADER_BYTES) / HEADER_BYTES_PER_UNIT);
}

/** Memory of a chunk beside its bytes; it counts when a client sends one byte at a time. */
const CHUNK_OVERHEAD_BYTES = 256;

/** Size and duration of incoming messages, chunk by chunk. */
export class ReceiveTiming {
  #firstBytes = 0;
  #bytes = 0;
  #chunks = 0;
  #startedMs = 0;
  #lastMs = 0;
  #lastMessage: { readonly bytes: number; readonly ms: number } | undefined;

  /** Records a chunk. */
  addChunk(bytes: number, nowMs: number): void {
    if (this.#bytes === 0) {
      this.#startedMs = nowMs;
      this.#firstBytes = bytes;
    }
    this.#bytes += bytes;
    this.#chunks++;
    this.#lastMs = nowMs;
  }

  /** Ends a message: the last chunk completed it. */
  endMessage(): void {
    this.#lastMessage = { bytes: this.#bytes - this.#firstBytes, ms: this.#lastMs - this.#startedMs };
    this.#bytes = 0;
    this.#chunks = 0;
  }

  /** Bytes of the incomplete message. */
  get unfinishedBytes(): number {
    return this.#bytes;
  }

  /** Memory of the incomplete message. */
  get unfinishedMemoryBytes(): number {
    return this.#bytes + this.#chunks * CHUNK_OVERHEAD_BYTES;
  }

  /** Bytes of the last message after its first chunk, and the time in which they arrived. */
  get lastMessage(): { readonly bytes: number; readonly ms: number } | undefined {
    return this.#lastMessage;
  }
}
