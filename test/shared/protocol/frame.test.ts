import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import {
  decodeFrame,
  encodeFrame,
  frameInPlace,
  isWithinMaxDepth,
  RESERVED_HEADER_BYTES,
  openFrame,
} from '../../../shared/protocol/frame.ts';
import { checkProperty } from '../../support/property.ts';

const json = fc
  .dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { noNullPrototype: true })
  .map((value) => JSON.stringify(value))
  .filter((text) => !text.includes('__proto__')) // tested below
  .map((text) => JSON.parse(text) as object);
const payloads = fc.uint8Array({ maxLength: 300 });

/** Frame with these header bytes. */
function frameOf(header: Uint8Array, claimed = header.length): Uint8Array {
  const bytes = new Uint8Array((4 + header.length + 3) & ~3);
  new DataView(bytes.buffer).setUint32(0, claimed, true);
  bytes.set(header, 4);
  return bytes;
}

/** Error that decoding throws, or null. */
function decodeError(bytes: Uint8Array): unknown {
  try {
    decodeFrame(bytes);
    return null;
  } catch (error) {
    return error;
  }
}

const isMalformed = (bytes: Uint8Array): boolean => {
  const error = decodeError(bytes);
  return error instanceof ProtocolError && error.code === CloseCode.malformed;
};

describe('a frame', () => {
  it('is decoded to its header and an aligned payload, at any address', () => {
    checkProperty(
      fc.property(json, payloads, fc.nat(7), fc.boolean(), (header, payload, offset, asBuffer) => {
        const bytes = encodeFrame(header, payload);
        const memory = new Uint8Array(bytes.length + offset + 5);
        memory.set(bytes, offset);
        const received = asBuffer
          ? Buffer.from(memory.buffer, offset, bytes.length)
          : memory.subarray(offset, offset + bytes.length);
        const decoded = decodeFrame(received);
        expect(decoded.header).toEqual(header);
        expect(new Uint8Array(decoded.payload)).toEqual(payload);
        expect(decoded.payload.byteOffset % 4).toBe(0);
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  it('has the same bytes if it is created around its payload in memory', () => {
    checkProperty(
      fc.property(json, fc.float32Array({ maxLength: 50 }), (header, values) => {
        // Not zeros, so that the test sees whether the padding is zeroed.
        const memory = new Uint8Array(RESERVED_HEADER_BYTES + values.byteLength).fill(7);
        const payload = new Float32Array(memory.buffer, RESERVED_HEADER_BYTES);
        payload.set(values);
        const expected = encodeFrame(header, new Uint8Array(values.buffer, 0, values.byteLength));
        const frame = frameInPlace(header, payload);
        const headerBytes = expected.length - values.byteLength;
        if (headerBytes > RESERVED_HEADER_BYTES) expect(frame).toBeNull();
        else expect(frame).toEqual(expected);
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  it('has a payload that can be viewed as float32 even if the frame begins at an odd address', () => {
    const values = Float32Array.of(1.5, -2, 3e-8);
    const bytes = encodeFrame({ type: 'gradient' }, new Uint8Array(values.buffer));
    const block = Buffer.alloc(bytes.length + 3);
    block.set(bytes, 3);
    const { payload } = decodeFrame(block.subarray(3));
    expect(new Float32Array(payload.buffer, payload.byteOffset, 3)).toEqual(values);
  });

  it('is decoded to a view of an aligned payload, without a copy', () => {
    const bytes = encodeFrame({ type: 'weights' }, Uint8Array.of(1, 2, 3, 4));
    expect(decodeFrame(bytes).payload.buffer).toBe(bytes.buffer);
  });

  it('consists of header length, msgpack, zeros up to a multiple of 4, and payload', () => {
    const bytes = encodeFrame({ a: 1 }, Uint8Array.of(9, 8));
    expect([...bytes]).toEqual([4, 0, 0, 0, 0x81, 0xa1, 0x61, 1, 9, 8]);
    expect([...encodeFrame({ ab: 1 })]).toEqual([5, 0, 0, 0, 0x81, 0xa2, 0x61, 0x62, 1, 0, 0, 0]);
  });

  it('is padded with zeros even if it reuses a frame with a longer header', () => {
    const { bytes: old } = openFrame({ type: 'abcd' }, 4);
    const { bytes } = openFrame({ type: 'ab' }, 4, old.slice());
    expect(bytes.length).toBe(old.length);
    expect(bytes).toEqual(openFrame({ type: 'ab' }, 4).bytes);
  });

  it('has a payload of zeros until it is written in place', () => {
    const frame = openFrame({ type: 'shard' }, 6);
    expect([...frame.payload]).toEqual([0, 0, 0, 0, 0, 0]);
    frame.payload.set([1, 2, 3, 4, 5, 6]);
    expect([...decodeFrame(frame.bytes).payload]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it.each([
    ['nothing', new Uint8Array(0)],
    ['three bytes', Uint8Array.of(1, 0, 0)],
    ['a header that is missing', Uint8Array.of(1, 0, 0, 0)],
    ['a header longer than the frame', frameOf(Uint8Array.of(0xc0), 6)],
    ['a header of 2^32 - 1 bytes', frameOf(Uint8Array.of(0xc0), 2 ** 32 - 1)],
    ['a header of 2^31 - 4 bytes', frameOf(Uint8Array.of(0xc0), 2 ** 31 - 4)],
    ['a header of no bytes', frameOf(new Uint8Array(0))],
    ['two msgpack values', frameOf(Uint8Array.of(0xc0, 0xc0))],
    ['half a msgpack value', frameOf(Uint8Array.of(0x81, 0xa1))],
    ['an array that claims 2^32 - 1 elements', frameOf(Uint8Array.of(0xdd, 255, 255, 255, 255))],
    ['a map that claims 2^32 - 1 entries', frameOf(Uint8Array.of(0xdf, 255, 255, 255, 255))],
  ])('is rejected if it is %s', (_, bytes) => {
    expect(isMalformed(bytes)).toBe(true);
  });

  it('is rejected if its header is nested a million levels deep', () => {
    const deep = new Uint8Array(1_000_000).fill(0x91);
    deep[deep.length - 1] = 0xc0;
    expect(isMalformed(frameOf(deep))).toBe(true);
    expect(decodeFrame(encodeFrame({ a: [1] })).header).toEqual({ a: [1] });
  });

  it('is rejected if its header has a msgpack extension, before the extension is decoded', () => {
    const values = (type: number): number[][] => [
      [0xd4, type, 0],
      [0xd6, type, 0, 0, 0, 1],
      [0xd7, type, 0, 0, 0, 0, 0, 0, 0, 1],
      [0xc7, 3, type, 1, 2, 3],
    ];
    const accepted = Array.from({ length: 256 }, (_, type) => type)
      .filter((type) => type !== 0x72) // msgpackr's records, which decode to plain objects
      .flatMap(values)
      .filter((value) => !isMalformed(frameOf(Uint8Array.of(0x81, 0xa1, 0x61, ...value))));
    expect(accepted).toEqual([]);
    const bigInteger = new Uint8Array(1_000_000).fill(0x7f);
    bigInteger.set([0xc9, 0, 0x0f, 0x42, 0x3a, 0x42]);
    expect(isMalformed(frameOf(bigInteger))).toBe(true);
  });

  it('cannot change the prototype of its header or of other objects', () => {
    const key = new TextEncoder().encode('__proto__');
    const inner = new TextEncoder().encode('polluted');
    const header = Uint8Array.of(0x81, 0xa9, ...key, 0x81, 0xa8, ...inner, 0xc3);
    const decoded = decodeFrame(frameOf(header)).header as object;
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(decoded).not.toHaveProperty('polluted');
    expect({}).not.toHaveProperty('polluted');
  });

  it('decodes a 64-bit integer to a number', () => {
    const packed = new Packr({ useRecords: false }).pack({ id: 2n ** 60n });
    expect(decodeFrame(frameOf(packed)).header).toEqual({ id: 2 ** 60 });
  });

  it('is decoded, or rejected with a ProtocolError, for all bytes', () => {
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 200 }).map((header) => frameOf(header)),
    );
    checkProperty(
      fc.property(anything, (bytes) => {
        const error = decodeError(bytes);
        return error === null || error instanceof ProtocolError;
      }),
      { seed: 3, numRuns: 3000 },
    );
  });
});

const packr = new Packr({ useRecords: false, variableMapSize: true });
const levelsOf = (value: unknown): number => {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 0;
  const inner = Object.values(value).map(levelsOf);
  // A decoder does not recurse into an empty array or map.
  return inner.length === 0 ? 0 : 1 + Math.max(...inner);
};

describe('isWithinMaxDepth', () => {
  it('compares the depth of any value with the limit', () => {
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'large', maxDepth: 5 },
        fc.constantFrom(null, true, 1, -1, 300, 70_000, 2 ** 40, 0.5),
        fc.string({ maxLength: 300 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.array(tie('value'), { maxLength: 40 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 20 }),
      ),
    }));
    checkProperty(
      fc.property(value, fc.integer({ min: 0, max: 80 }), (inner, around) => {
        let nested: unknown = [inner, 'behind'];
        for (let i = 0; i < around; i++) nested = i % 2 === 0 ? [1, nested, 'x'] : { a: nested, b: 2.5 };
        expect(isWithinMaxDepth(packr.pack(nested))).toBe(levelsOf(nested) <= 64);
      }),
      { seed: 1 },
    );
  });

  it('returns for all bytes, also for thousands of levels', () => {
    for (const depth of [64, 65, 60_000])
      expect(isWithinMaxDepth(new Uint8Array(depth + 1).fill(0x91))).toBe(depth < 64);
    checkProperty(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => typeof isWithinMaxDepth(bytes) === 'boolean'),
      { seed: 2 },
    );
    expect(isWithinMaxDepth(Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff))).toBe(true);
  });
});
