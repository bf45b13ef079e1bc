import * as v from 'valibot';
// The default entry compiles a function for each record definition, and a hostile header may contain many of them.
import { addExtension, Packr, Unpackr } from 'msgpackr/index-no-eval';
import { sanitizeForTerminal } from '../util/sanitize.ts';
import { CloseCode, ProtocolError } from './close-codes.ts';
import {
  fromCoordinatorSchema,
  fromWorkerSchema,
  type FromCoordinator,
  type FromWorker,
} from './messages.ts';

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

/** A parsed message with its payload, which is empty for most types. */
export interface Received<Message> {
  readonly message: Message;
  readonly payload: Uint8Array;
}

/** Parses a message of a worker or observer. @throws ProtocolError (malformed) for all other bytes */
export function parseFromWorker(bytes: Uint8Array): Received<FromWorker> {
  const { header, payload } = decodeFrame(bytes, MAX_WORKER_HEADER_BYTES);
  return { message: parse(fromWorkerSchema, header), payload };
}

/** Parses a message of the coordinator. @throws ProtocolError (malformed) for all other bytes */
export function parseFromCoordinator(bytes: Uint8Array): Received<FromCoordinator> {
  const { header, payload } = decodeFrame(bytes);
  return { message: parse(fromCoordinatorSchema, header), payload };
}

/** Frame of a message to the coordinator. */
export function frameFromWorker(message: FromWorker, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeFrame(message, payload);
}

/** Frame of a message to a worker or observer. */
export function frameFromCoordinator(
  message: FromCoordinator,
  payload?: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return encodeFrame(message, payload);
}

function parse<Schema extends v.GenericSchema>(schema: Schema, header: unknown): v.InferOutput<Schema> {
  let result: v.SafeParseResult<Schema>;
  try {
    result = v.safeParse(schema, header, { abortEarly: true });
  } catch {
    throw malformed('The header of the frame could not be read.');
  }
  if (result.success) return result.output;
  throw malformed(describeIssue(header, result.issues[0]));
}

/** Error message for an invalid header, with its type and field. Received texts are shortened and sanitized. */
function describeIssue(header: unknown, issue: v.BaseIssue<unknown>): string {
  const excerpt = (text: string, length: number): string => sanitizeForTerminal(text.slice(0, length));
  const type = typeof header === 'object' && header !== null && 'type' in header ? header.type : undefined;
  if (typeof type !== 'string') return 'Not a message: the field type is missing or is not a text.';
  const field = v.getDotPath(issue);
  if (field === 'type')
    return `Not a message of this direction: no message has the type '${excerpt(type, 40)}'.`;
  const message = `Not a message of this direction: ${excerpt(type, 40)}`;
  if (field === null) return `${message} is invalid.`;
  if (issue.received === 'undefined') return `${message} lacks the field ${excerpt(field, 100)}.`;
  const expected = issue.expected === null ? '' : `; it should be ${excerpt(issue.expected, 80)}`;
  return `${message} has ${excerpt(issue.received, 60)} in the field ${excerpt(field, 100)}${expected}.`;
}

/** Maximum nesting of a header. A model's topology has some ten levels. */
const MAX_DEPTH = 64;

/**
 * Whether a msgpack value is nested at most MAX_DEPTH levels. Does not decode the value: a decoder is recursive and needs
 * milliseconds for thousands of levels in a few bytes. Bytes that are not msgpack may pass.
 */
export function isWithinMaxDepth(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Number of missing values at each level. */
  const remaining: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const type = bytes[at] as number;
    const [headBytes, bodyBytes, values] = readExtent(type, view, at);
    at += headBytes + bodyBytes;
    if (values > 0) {
      remaining.push(values);
      if (remaining.length > MAX_DEPTH) return false;
      continue;
    }
    // This value is complete, and it may complete the values around it.
    while (remaining.length > 0) {
      const missing = (remaining.pop() ?? 1) - 1;
      if (missing > 0) {
        remaining.push(missing);
        break;
      }
    }
    if (remaining.length === 0) return true;
  }
  return true;
}

/** Bytes of the head and of the body of the value at an offset, and the number of values that it contains. */
function readExtent(type: number, view: DataView, at: number): readonly [number, number, number] {
  if (type < 0x80 || type >= 0xe0) return [1, 0, 0];
  if (type < 0x90) return [1, 0, 2 * (type & 15)];
  if (type < 0xa0) return [1, 0, type & 15];
  if (type < 0xc0) return [1, type & 31, 0];
  const fixed = FIXED_BODY_BYTES[type];
  if (fixed !== undefined) return [1, fixed, 0];
  const lengthBytes = LENGTH_BYTES[type] ?? 0;
  if (lengthBytes === 0 || at + 1 + lengthBytes > view.byteLength) return [1, 0, 0];
  const length =
    lengthBytes === 1
      ? view.getUint8(at + 1)
      : lengthBytes === 2
        ? view.getUint16(at + 1)
        : view.getUint32(at + 1);
  if (type === 0xdc || type === 0xdd) return [1 + lengthBytes, 0, length];
  if (type === 0xde || type === 0xdf) return [1 + lengthBytes, 0, 2 * length];
  // Extensions have one more byte, for their type.
  return [1 + lengthBytes + (type >= 0xc7 && type <= 0xc9 ? 1 : 0), length, 0];
}

/** Body bytes of types of fixed size: floats, integers, small extensions. */
const FIXED_BODY_BYTES: Readonly<Record<number, number>> = {
  0xc0: 0,
  0xc1: 0,
  0xc2: 0,
  0xc3: 0,
  0xca: 4,
  0xcb: 8,
  0xcc: 1,
  0xcd: 2,
  0xce: 4,
  0xcf: 8,
  0xd0: 1,
  0xd1: 2,
  0xd2: 4,
  0xd3: 8,
  0xd4: 2,
  0xd5: 3,
  0xd6: 5,
  0xd7: 9,
  0xd8: 17,
};
/** Bytes of the length field of types that have one: binary, extensions, strings, arrays, maps. */
const LENGTH_BYTES: Readonly<Record<number, number>> = {
  0xc4: 1,
  0xc5: 2,
  0xc6: 4,
  0xc7: 1,
  0xc8: 2,
  0xc9: 4,
  0xd9: 1,
  0xda: 2,
  0xdb: 4,
  0xdc: 2,
  0xdd: 4,
  0xde: 2,
  0xdf: 4,
};

const malformed = (sentence: string): ProtocolError => new ProtocolError(CloseCode.malformed, sentence);
