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
