// The other one makes a function of each record definition, which a header may be full of, although none is asked for.
import { addExtension, Packr, Unpackr } from 'msgpackr/index-no-eval';
import { CloseCode, ProtocolError } from './close-codes.ts';
import { isWithinMaxDepth } from './msgpack-depth.ts';

// Plain msgpack: no records, no extensions of msgpackr's own, so that any language's library reads it.
const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

// msgpackr reads extensions of its own whatever the options are: big integers that take seconds to decode, values that
// refer to each other, regular expressions. No message has any, so a header with one is no header.
const MSGPACKR_EXTENSIONS = [0x00, 0x42, 0x62, 0x65, 0x69, 0x70, 0x73, 0x74, 0x78, 0xff];
for (const type of MSGPACKR_EXTENSIONS) {
  addExtension({
    type,
    unpack() {
      throw new Error('Messages have no msgpack extensions.');
    },
  });
}

const PREFIX_BYTES = 4;
/** No header to a worker needs more; the largest is a welcome with a big model's topology. */
export const MAX_HEADER_BYTES = 4 << 20;
/** No header to the coordinator needs more. Anybody may send one, and a large one takes seconds to decode. */
export const MAX_WORKER_HEADER_BYTES = 16 << 10;

const alignTo4 = (bytes: number): number => (bytes + 3) & ~3;

/** A frame whose payload is still to be written. `payload` is a view into `bytes`, 4-byte aligned. */
export interface OpenFrame {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/**
 * Lays a frame out: header length (uint32, little-endian), header (msgpack), zero bytes up to a multiple of 4,
 * payload up to the end. The caller writes the payload in place, which saves a copy.
 * @param reuse an old frame that nobody needs any more; if it has the right length it is written over, which saves the
 *   allocation
 */
export function openFrame(
  header: object,
  payloadBytes: number,
  reuse?: Uint8Array<ArrayBuffer> | null,
): OpenFrame {
  const packed = packr.pack(header);
  const start = alignTo4(PREFIX_BYTES + packed.length);
  const length = start + payloadBytes;
  const bytes = reuse?.length === length ? reuse : new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, packed.length, true);
  bytes.set(packed, PREFIX_BYTES);
  return { bytes, payload: bytes.subarray(start) };
}

/** Bytes in front of a payload that is there before its header is known. Headers of gradients and weights need fewer. */
export const RESERVED_HEADER_BYTES = 512;

/**
 * Lays a frame out around a payload where it lies, which saves copying it.
 * @param payload 4-byte aligned, behind HEADER_ROOM_BYTES that nobody else uses
 * @returns null if the header needs more
 */
export function frameInPlace(header: object, payload: Float32Array): Uint8Array | null {
  const packed = packr.pack(header);
  const start = alignTo4(PREFIX_BYTES + packed.length);
  if (start > RESERVED_HEADER_BYTES) return null;
  const bytes = new Uint8Array(payload.buffer, payload.byteOffset - start, start + payload.byteLength);
  bytes.fill(0, PREFIX_BYTES + packed.length, start);
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, packed.length, true);
  bytes.set(packed, PREFIX_BYTES);
  return bytes;
}

/** A frame with a payload that exists already, or none. */
export function encodeFrame(header: object, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = openFrame(header, payload?.length ?? 0);
  if (payload !== undefined) frame.payload.set(payload);
  return frame.bytes;
}

export interface DecodedFrame {
  readonly header: unknown;
  /** A view into the frame where that is 4-byte aligned in memory, else a copy that is. */
  readonly payload: Uint8Array;
}

/**
 * Takes a frame apart.
 * @param mostHeaderBytes what is larger is not even looked at
 * @throws ProtocolError (malformed) whatever the bytes are, if they are no frame
 */
export function decodeFrame(bytes: Uint8Array, mostHeaderBytes = MAX_HEADER_BYTES): DecodedFrame {
  if (bytes.length < PREFIX_BYTES) {
    throw malformed(`A frame has at least ${PREFIX_BYTES} bytes; this one has ${bytes.length}.`);
  }
  const headerBytes = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const start = alignTo4(PREFIX_BYTES + headerBytes);
  if (headerBytes > mostHeaderBytes) {
    throw malformed(`A header of ${headerBytes} bytes; the most is ${mostHeaderBytes} here.`);
  }
  if (start > bytes.length) {
    throw malformed(
      `The frame says that its header has ${headerBytes} bytes, but has ${bytes.length} in all.`,
    );
  }
  const packed = bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes);
  if (!isWithinMaxDepth(packed)) throw malformed('The header of the frame nests deeper than any message.');
  let header: unknown;
  try {
    header = unpackr.unpack(packed);
  } catch {
    throw malformed('The header of the frame is not one msgpack value.');
  }
  // Of a plain Uint8Array's own making: a Buffer's slice() would copy nothing.
  const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
  return { header, payload: payload.byteOffset % 4 === 0 ? payload : payload.slice() };
}

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);
