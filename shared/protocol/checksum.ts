import { CloseCode, ProtocolError } from './close-codes.ts';
import type { Connection } from './transport.ts';

/** Prime of the 32-bit Fowler-Noll-Vo hash. */
const PRIME = 0x01000193;
const LANES = 4;
/** Bytes of the checksum at the end of a frame. */
const TRAILER_BYTES = 4;

/**
 * Checksum of a frame, defined in PROTOCOL.md: four lanes take the words in turn; each word rotates and multiplies its lane.
 * @returns uint32, which changes if a single word changes
 */
export function checksum(frame: Uint8Array): number {
  // slice() of a Buffer returns a view and does not copy.
  const aligned = frame.byteOffset % 4 === 0 ? frame : new Uint8Array(frame);
  const wordCount = aligned.length >> 2;
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, wordCount);
  let a = 1;
  let b = 2;
  let c = 3;
  let d = 4;
  const inLanes = wordCount - (wordCount % LANES);
  // Four lanes are independent, so that the processor multiplies them in parallel.
  for (let i = 0; i < inLanes; i += LANES) {
    a = mix(a, words[i] as number);
    b = mix(b, words[i + 1] as number);
    c = mix(c, words[i + 2] as number);
    d = mix(d, words[i + 3] as number);
  }
  for (let i = inLanes; i < wordCount; i++) a = mix(a, words[i] as number);
  for (let i = wordCount * 4; i < aligned.length; i++) a = mix(a, aligned[i] as number);
  for (const lane of [b, c, d, frame.length]) a = mix(a, lane);
  return a >>> 0;
}

function mix(hash: number, word: number): number {
  const combined = hash ^ word;
  return Math.imul((combined << 13) | (combined >>> 19), PRIME);
}

/** Copy of a frame, followed by its checksum (uint32, little-endian). */
function withChecksum(frame: Uint8Array): Uint8Array<ArrayBuffer> {
  const checked = new Uint8Array(frame.length + TRAILER_BYTES);
  checked.set(frame);
  new DataView(checked.buffer).setUint32(frame.length, checksum(frame), true);
  return checked;
}

/**
 * Verifies the checksum at the end of a frame.
 * @returns view of the frame without the checksum
 * @throws ProtocolError (checksumMismatch)
 */
export function verifyChecksum(checked: Uint8Array): Uint8Array {
  const length = checked.length - TRAILER_BYTES;
  if (length >= 0) {
    const frame = checked.subarray(0, length);
    const trailer = new DataView(checked.buffer, checked.byteOffset + length, TRAILER_BYTES);
    if (trailer.getUint32(0, true) === checksum(frame)) return frame;
  }
  throw new ProtocolError(CloseCode.checksumMismatch, 'The checksum of a frame does not match its content.');
}

/** Wraps a connection so that it appends a checksum to each frame that it sends. */
export function withChecksums(connection: Connection): Connection {
  return {
    send: (frame) => connection.send(withChecksum(frame)),
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
