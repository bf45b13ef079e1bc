import { CloseCode, ProtocolError } from './close-codes.ts';
import type { Connection } from './transport.ts';

/** A prime; the one of the 32-bit Fowler-Noll-Vo hash. */
const PRIME = 0x01000193;
const LANES = 4;
/** Bytes that a checksum adds to a frame. */
const TRAILER_BYTES = 4;

/**
 * Checksum of a frame, as PROTOCOL.md defines it: words in turns to four lanes, each lane rotated and multiplied.
 * @returns uint32; for any change of a single word another one
 */
export function checksum(frame: Uint8Array): number {
  // A Buffer's own slice() would copy nothing.
  const aligned = frame.byteOffset % 4 === 0 ? frame : new Uint8Array(frame);
  const whole = aligned.length >> 2;
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, whole);
  let [a, b, c, d] = [1, 2, 3, 4];
  const inLanes = whole - (whole % LANES);
  // Four at a time: one lane alone would wait for its own products.
  for (let i = 0; i < inLanes; i += LANES) {
    a = mix(a, words[i] as number);
    b = mix(b, words[i + 1] as number);
    c = mix(c, words[i + 2] as number);
    d = mix(d, words[i + 3] as number);
  }
  for (let i = inLanes; i < whole; i++) a = mix(a, words[i] as number);
  for (let i = whole * 4; i < aligned.length; i++) a = mix(a, aligned[i] as number);
  for (const lane of [b, c, d, frame.length]) a = mix(a, lane);
  return a >>> 0;
}

function mix(hash: number, word: number): number {
  const both = hash ^ word;
  return Math.imul((both << 13) | (both >>> 19), PRIME);
}

/** Copy of a frame with its checksum behind it: uint32, little-endian. */
export function withChecksum(frame: Uint8Array): Uint8Array<ArrayBuffer> {
  const checked = new Uint8Array(frame.length + TRAILER_BYTES);
  checked.set(frame);
  new DataView(checked.buffer).setUint32(frame.length, checksum(frame), true);
  return checked;
}

/**
 * Checks the checksum behind a frame.
 * @returns the frame, a view
 * @throws ProtocolError (checksumMismatch)
 */
export function verifyChecksum(checked: Uint8Array): Uint8Array {
  const length = checked.length - TRAILER_BYTES;
  if (length >= 0) {
    const frame = checked.subarray(0, length);
    const trailer = new DataView(checked.buffer, checked.byteOffset + length, TRAILER_BYTES);
    if (trailer.getUint32(0, true) === checksum(frame)) return frame;
  }
  throw new ProtocolError(CloseCode.checksumMismatch, 'A frame has another checksum than its sender says.');
}

/** A connection on which, from some moment on, each frame that is sent has its checksum behind it. */
export interface ChecksumConnection extends Connection {
  /** From the next frame on. */
  enableChecksums(): void;
}

export function withChecksums(connection: Connection): ChecksumConnection {
  let isEnabled = false;
  return {
    send: (frame) => connection.send(isEnabled ? withChecksum(frame) : frame),
    enableChecksums: () => (isEnabled = true),
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
