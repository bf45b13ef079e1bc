/** Types of fields and elements in Thrift's compact protocol. */
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I16 = 4;
const I64 = 6;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const SET = 10;
const STRUCT = 12;

/** Structs in structs, of which Parquet has about ten. */
const MAX_DEPTH = 32;
/** Bytes of a number of 64 bits. */
const MAX_VARINT_BYTES = 10;

export interface ThriftStruct {
  /** Numbers and truth values (0, 1) by the path of their field: '5.1' is field 1 of the struct in field 5. Those in lists are left out. */
  readonly numbers: ReadonlyMap<string, number>;
  /** Place after the struct. */
  readonly end: number;
}

/**
 * Reads a struct of Thrift's compact protocol, without any memory for the lists that it claims to have.
 * @param maxValues limit for fields and elements together
 * @throws RangeError if the struct does not end within the bytes, or has more values
 * @example
 * ```ts
 * const { numbers, end } = readThriftStruct(bytes, 0, 1000);
 * const valueCount = numbers.get('5.1');
 * ```
 */
export function readThriftStruct(bytes: Uint8Array, from: number, maxValues: number): ThriftStruct {
  const reader = new ThriftReader(bytes, from, maxValues);
  const numbers = new Map<string, number>();
  reader.readStruct('', numbers, 0);
  return { numbers, end: reader.offset };
}

class ThriftReader {
  offset: number;
  private readonly bytes: Uint8Array;
  private valuesLeft: number;

  constructor(bytes: Uint8Array, offset: number, maxValues: number) {
    this.bytes = bytes;
    this.offset = offset;
    this.valuesLeft = maxValues;
  }

  /** @param numbers null if they are not asked for */
  readStruct(path: string, numbers: Map<string, number> | null, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError(`more than ${MAX_DEPTH} structs in each other`);
    let field = 0;
    for (;;) {
      const head = this.readByte();
      const type = head & 15;
      if (type === 0) return;
      field = head >> 4 === 0 ? zigzag(this.readVarint()) : field + (head >> 4);
      this.readValue(type, `${path}${field}`, numbers, depth);
    }
  }

  private readValue(type: number, path: string, numbers: Map<string, number> | null, depth: number): void {
    if (this.valuesLeft-- <= 0) throw new RangeError('more values than a table has');
    if (type === TRUE || type === FALSE) numbers?.set(path, type === TRUE ? 1 : 0);
    else if (type === BYTE) this.skip(1);
    else if (type >= I16 && type <= I64) {
      const value = zigzag(this.readVarint());
      numbers?.set(path, value);
    } else if (type === DOUBLE) this.skip(8);
    else if (type === BINARY) this.skip(this.readVarint());
    else if (type === LIST || type === SET) this.readList(depth);
    else if (type === STRUCT) this.readStruct(`${path}.`, numbers, depth + 1);
    else throw new RangeError(`a field of the unknown type ${type}`);
  }

  private readList(depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError(`more than ${MAX_DEPTH} lists in each other`);
    const head = this.readByte();
    const count = head >> 4 === 15 ? this.readVarint() : head >> 4;
    const type = head & 15;
    // Each element has a byte at least.
    if (count > this.bytes.length - this.offset) throw new RangeError(`a list of ${count} elements`);
    for (let i = 0; i < count; i++) {
      // Truth values have a byte of their own in a list.
      this.readValue(type === TRUE || type === FALSE ? BYTE : type, '', null, depth + 1);
    }
  }

  private readByte(): number {
    const byte = this.bytes[this.offset++];
    if (byte === undefined) throw new RangeError('a struct that does not end');
    return byte;
  }

  /** Unsigned number of 7 bits a byte. Above 2^53 it is rounded. */
  private readVarint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.readByte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new RangeError(`a number of more than ${MAX_VARINT_BYTES} bytes`);
  }

  private skip(count: number): void {
    if (count > this.bytes.length - this.offset) throw new RangeError('a struct that does not end');
    this.offset += count;
  }
}

/** Signed number: 0, 1, 2, 3 stand for 0, -1, 1, -2. */
export const zigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2);
