// The default entry compiles a function for each record definition, and a hostile header may contain many of them.
import { addExtension, Packr, Unpackr } from 'msgpackr/index-no-eval';
import { CloseCode, ProtocolError } from './close-codes.ts';
import { isWithinMaxDepth } from './msgpack-depth.ts';

// Plain msgpack without records and extensions of msgpackr, so that libraries of all languages can decode it.
const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

// msgpackr decodes its own extensions whatever the options are: large integers that take seconds to decode, values that
// refer to each other, regular expressions. No message contains an extension, so a header with one is rejected.
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
/** Limit of headers to a worker. The largest is a welcome with the topology of a large model. */
export const MAX_HEADER_BYTES = 4 << 20;
/** Limit of headers to the coordinator. Unauthenticated clients send headers too, and a large one takes seconds to decode. */
export const MAX_WORKER_HEADER_BYTES = 16 << 10;

const alignTo4 = (bytes: number): number => (bytes + 3) & ~3;

/** A frame whose payload has not been written. `payload` is a 4-byte aligned view of `bytes`. */
export interface OpenFrame {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/**
 * Creates a frame: header length (uint32, little-endian), header (msgpack), zero bytes up to a multiple of 4,
 * payload up to the end. The caller writes the payload in place, which saves a copy.
 * @param reuse frame that is not needed any more; it is overwritten if it has the right length, which saves an allocation
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
  bytes.fill(0, PREFIX_BYTES + packed.length, start);
  return { bytes, payload: bytes.subarray(start) };
}

/** Bytes reserved before a payload that is written before its header. Headers of gradients and weights need fewer. */
export const RESERVED_HEADER_BYTES = 512;

/**
 * Creates a frame in the memory of its payload, which saves a copy.
 * @param payload 4-byte aligned; the RESERVED_HEADER_BYTES before it are overwritten
 * @returns null if the header needs more bytes
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

/** Frame with a copy of a payload, or with an empty payload. */
export function encodeFrame(header: object, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = openFrame(header, payload?.length ?? 0);
  if (payload !== undefined) frame.payload.set(payload);
  return frame.bytes;
}

export interface DecodedFrame {
  readonly header: unknown;
  /** 4-byte aligned: a view of the frame if its payload is aligned in memory, otherwise a copy. */
  readonly payload: Uint8Array;
}

/**
 * Splits a frame into header and payload.
 * @param maxHeaderBytes a larger header is rejected before it is decoded
 * @throws ProtocolError (malformed) for all bytes that are not a frame
 */
export function decodeFrame(bytes: Uint8Array, maxHeaderBytes = MAX_HEADER_BYTES): DecodedFrame {
  if (bytes.length < PREFIX_BYTES) {
    throw malformed(`A frame has at least ${PREFIX_BYTES} bytes; this one has ${bytes.length}.`);
  }
  const headerBytes = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const start = alignTo4(PREFIX_BYTES + headerBytes);
  if (headerBytes > maxHeaderBytes) {
    throw malformed(`The header has ${headerBytes} bytes; the limit is ${maxHeaderBytes}.`);
  }
  if (start > bytes.length) {
    throw malformed(`The frame claims a header of ${headerBytes} bytes, but has only ${bytes.length} bytes.`);
  }
  const packed = bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes);
  if (!isWithinMaxDepth(packed)) throw malformed('The header of the frame is nested too deeply.');
  let header: unknown;
  try {
    header = unpackr.unpack(packed);
  } catch {
    throw malformed('The header of the frame is not a single msgpack value.');
  }
  // A new Uint8Array, because slice() of a Buffer returns a view and does not copy.
  const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
  return { header, payload: payload.byteOffset % 4 === 0 ? payload : payload.slice() };
}

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);
