import { CloseCode, ProtocolError } from './close-codes.ts';
import type { Connection } from './transport.ts';

/** A prime; the one of the 32-bit Fowler-Noll-Vo hash. */
const PRIME = 0x01000193;
const LANES = 4;

/**
 * The checksum of a frame, as PROTOCOL.md has it: words in turns to four lanes, each lane rotated and multiplied.
 * @returns uint32; for any change of a single word another one
 */
export function checksum(frame: Uint8Array): number {
  // A Buffer's own slice() would copy nothing.
  const aligned = frame.byteOffset % 4 === 0 ? frame : new Uint8Array(frame);
  const whole = aligned.length >> 2;
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, whole);
  let [a, b, c, d] = [1, 2, 3, 4];
  const most = whole - (whole % LANES);
  // Four at a time: one lane alone would wait for its own products.
  for (let i = 0; i < most; i += LANES) {
    a = mix(a, words[i] as number);
    b = mix(b, words[i + 1] as number);
    c = mix(c, words[i + 2] as number);
    d = mix(d, words[i + 3] as number);
  }
  for (let i = most; i < whole; i++) a = mix(a, words[i] as number);
  for (let i = whole * 4; i < aligned.length; i++) a = mix(a, aligned[i] as number);
  for (const lane of [b, c, d, frame.length]) a = mix(a, lane);
  return a >>> 0;
}

function mix(hash: number, word: number): number {
  const both = hash ^ word;
  return Math.imul((both << 13) | (both >>> 19), PRIME);
}

/** A connection on which, from some moment on, each frame is followed by its checksum. */
export interface ChecksumConnection extends Connection {
  /** From the next frame on. */
  enableChecksums(): void;
}

export function withChecksums(connection: Connection): ChecksumConnection {
  let sealed = false;
  return {
    send(frame) {
      connection.send(frame);
      if (sealed) connection.send(encodeChecksum(frame));
    },
    enableChecksums: () => (sealed = true),
    close: (code, reason) => connection.close(code, reason),
    terminate: () => connection.terminate(),
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
    get receiveTiming() {
      return connection.receiveTiming;
    },
    ...(connection.addressBlock === undefined ? {} : { addressBlock: connection.addressBlock }),
    ...(connection.isSameMachine === undefined ? {} : { isSameMachine: connection.isSameMachine }),
  };
}

/** The other end: takes each frame together with its checksum. */
export class ChecksumVerifier {
  #pending: Uint8Array | null = null;
  #enabled = false;

  /** From the next frame on. */
  enable(): void {
    this.#enabled = true;
  }

  /** Bytes of a frame whose checksum has not come. */
  get pendingBytes(): number {
    return this.#pending?.length ?? 0;
  }

  /**
   * @returns a frame that came undamaged, or null while its checksum has not come
   * @throws ProtocolError (damaged)
   */
  verify(bytes: Uint8Array): Uint8Array | null {
    if (!this.#enabled) return bytes;
    const frame = this.#pending;
    if (frame === null) {
      this.#pending = bytes;
      return null;
    }
    this.#pending = null;
    const seal =
      bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) : null;
    if (seal === checksum(frame)) return frame;
    throw new ProtocolError(CloseCode.checksumMismatch, 'A frame has another checksum than its sender says.');
  }
}

function encodeChecksum(frame: Uint8Array): Uint8Array {
  const seal = new Uint8Array(4);
  new DataView(seal.buffer).setUint32(0, checksum(frame), true);
  return seal;
}
