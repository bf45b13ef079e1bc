import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../shared/util/clock.ts';
import { closeReason, CloseCode } from '../../shared/protocol/close-codes.ts';
import { MAX_WORKER_HEADER_BYTES } from '../../shared/protocol/frame.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { Connection } from '../../shared/protocol/transport.ts';
import { addressBlock } from './limits/address-block.ts';
import type { ReceiveBudget } from './limits/receive-budget.ts';
import { TokenBucket } from './limits/token-bucket.ts';
import type { ConnectionHandler } from '../pool/handshake.ts';
import { isLoopback } from '../../shared/util/loopback.ts';

/** What carries a WebSocket. */
export type UpgradedSocket = Duplex & Pick<Socket, 'remoteAddress' | 'remotePort'>;

export interface AttachOptions {
  readonly clock: Clock;
  readonly connect: (connection: Connection) => ConnectionHandler;
  readonly receiveBudget: ReceiveBudget;
  /** Called when the peer has been admitted. */
  readonly onAdmitted: () => void;
  /** Called once at the end. @param fault whether the peer was refused, or closed for what it sent */
  readonly onEnded: (fault: boolean) => void;
}

/** A hello has less; whoever sends more before it is admitted is cut off. */
const MAX_UNAUTHENTICATED_BYTES = 128 << 10;
/** How long a peer has to answer a close before it is cut off. */
export const CLOSE_GRACE_MS = 1_000;
/**
 * Messages and control frames that nobody has asked for. An honest client sends a ping of its WebSocket library now and
 * then; its answers are earned by what it is sent.
 */
const UNSOLICITED_MESSAGE_LIMITS = { burst: 60, perSecond: 5 };
/** Answers that a peer may owe: more than 64 pieces each of several shards. */
const MAX_CREDIT = 1_024;
/** Codes of closes that no honest, working client gets again and again. */
const FAULT_CODES: ReadonlySet<number> = new Set<number>([
  CloseCode.malformed,
  CloseCode.unauthorized,
  CloseCode.unexpected,
  CloseCode.tooLarge,
  CloseCode.tooManyMessages,
]);

/** Connects one WebSocket with its owner, and bounds what its peer may send. */
export function attachWebSocket(webSocket: WebSocket, socket: UpgradedSocket, options: AttachOptions): void {
  const { clock, connect, receiveBudget, onAdmitted, onEnded } = options;
  const arrivals = new ReceiveTiming();
  const messages = new TokenBucket(UNSOLICITED_MESSAGE_LIMITS, clock.now());
  let closedWith: number | null = null;
  let over = false;
  let pending = true;
  let unauthenticatedBytes = 0;

  const connection: Connection = {
    isSameMachine: isLoopback(socket.remoteAddress ?? ''),
    addressBlock: addressBlock(socket.remoteAddress ?? ''),
    get receiveTiming() {
      return arrivals.lastMessage;
    },
    send(frame) {
      messages.credit(owner?.answersPerFrame ?? 0, MAX_CREDIT);
      webSocket.send(frame);
    },
    close(code, reason) {
      closedWith ??= code;
      webSocket.close(code, reason);
      setTimeout(() => webSocket.terminate(), CLOSE_GRACE_MS).unref();
    },
    terminate: () => webSocket.terminate(),
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
  };
  const end = (code: number, reason: string): void => {
    if (over) return;
    over = true;
    account.close();
    owner?.onClose(code, reason);
    onEnded(
      owner?.authenticated === false ? closedWith !== CloseCode.noFreeSlot : FAULT_CODES.has(closedWith ?? 0),
    );
  };
  /** Closes the connection for what its peer sends, and reads nothing more of that. */
  const cutOff = (code: CloseCode, sentence: string): void => {
    connection.close(code, closeReason(sentence));
    webSocket.pause();
    end(code, sentence);
  };
  const account = receiveBudget.open({
    pause: () => webSocket.pause(),
    resume: () => webSocket.resume(),
    expire: () => cutOff(CloseCode.timeout, 'A message came too slowly while others waited.'),
  });
  /** Counts a message or a control frame. @returns whether it may be heard */
  const mayHear = (units = 1): boolean => {
    if (over) return false;
    if (messages.spend(clock.now(), units)) return true;
    cutOff(CloseCode.tooManyMessages, 'It sends more messages than it was asked for.');
    return false;
  };

  let owner: ConnectionHandler | null = null;
  // Before the WebSocket's own listener, which says that a message is whole.
  socket.prependListener('data', (chunk: Buffer) => {
    if (over) return;
    arrivals.addChunk(chunk.length, performance.now());
    if (owner?.authenticated === false) {
      unauthenticatedBytes += chunk.length;
      if (unauthenticatedBytes > MAX_UNAUTHENTICATED_BYTES) webSocket.terminate();
      return;
    }
    const most = owner?.maxMessageBytes ?? Infinity;
    if (arrivals.unfinishedBytes > most + MAX_UNAUTHENTICATED_BYTES) {
      cutOff(CloseCode.tooLarge, `A frame of more than ${most} bytes, which is the most here.`);
      return;
    }
    account.setHeldBytes(arrivals.unfinishedMemoryBytes + (owner?.heldBytes ?? 0));
  });
  owner = connect(connection);
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    arrivals.endMessage();
    if (!mayHear(isBinary ? frameCost(data as Buffer) : 1)) return;
    if (isBinary) {
      owner.onFrame(data as Buffer);
      account.setHeldBytes(over ? 0 : (owner.heldBytes ?? 0));
      if (pending && owner.authenticated !== false) {
        pending = false;
        onAdmitted();
      }
    } else {
      connection.close(CloseCode.malformed, closeReason('Messages are binary frames; this one was text.'));
    }
  });
  webSocket.on('ping', (data) => {
    if (mayHear()) webSocket.pong(data);
  });
  webSocket.on('pong', () => void mayHear());
  webSocket.on('close', (code, reason) => end(code, sanitizeForTerminal(reason.toString())));
  // Followed by 'close', which says it all.
  webSocket.on('error', () => undefined);
}

/** Parsing this much of a header takes as long as a whole small message. */
const HEADER_BYTES_PER_UNIT = 512;

/** What it takes to parse a frame: a header of 16 KiB takes a millisecond, a payload next to nothing. */
function frameCost(frame: Buffer): number {
  const headerBytes = frame.length < 4 ? 0 : Math.min(frame.readUInt32LE(0), frame.length);
  return 1 + Math.floor(Math.min(headerBytes, MAX_WORKER_HEADER_BYTES) / HEADER_BYTES_PER_UNIT);
}

/** Memory of a chunk beside its bytes: clients may send a byte at a time. */
const CHUNK_OVERHEAD_BYTES = 256;

/** How one message after another comes in, chunk by chunk. */
export class ReceiveTiming {
  #firstBytes = 0;
  #bytes = 0;
  #chunks = 0;
  #startedMs = 0;
  #lastMs = 0;
  #lastMessage: { readonly bytes: number; readonly ms: number } | undefined;

  /** A chunk has come. */
  addChunk(bytes: number, nowMs: number): void {
    if (this.#bytes === 0) {
      this.#startedMs = nowMs;
      this.#firstBytes = bytes;
    }
    this.#bytes += bytes;
    this.#chunks++;
    this.#lastMs = nowMs;
  }

  /** A message is whole: its last chunk has just come. */
  endMessage(): void {
    this.#lastMessage = { bytes: this.#bytes - this.#firstBytes, ms: this.#lastMs - this.#startedMs };
    this.#bytes = 0;
    this.#chunks = 0;
  }

  /** Bytes of the message that is not complete. */
  get unfinishedBytes(): number {
    return this.#bytes;
  }

  /** Memory that these take. */
  get unfinishedMemoryBytes(): number {
    return this.#bytes + this.#chunks * CHUNK_OVERHEAD_BYTES;
  }

  /** Of the last message: bytes behind its first chunk, and the time from that to its end. */
  get lastMessage(): { readonly bytes: number; readonly ms: number } | undefined {
    return this.#lastMessage;
  }
}
