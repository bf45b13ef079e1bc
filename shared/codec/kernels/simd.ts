import { instantiate } from '../../kernels/own-memory.ts';
import { codecBytesBase64 } from './codec-bytes.ts';
import {
  BLOCK,
  type CodecKernels,
  type FactorSides,
  type FormatKernels,
  type Numbers,
  type Packed,
} from './kernels.ts';
import { scalarKernels } from './scalar.ts';

/** The functions of codec.as: pointers in bytes, n in values. */
interface Exports {
  encodeFloat16(values: number, halves: number, n: number): void;
  decodeFloat16(halves: number, values: number, n: number): void;
  encodeInt8(values: number, scales: number, integers: number, n: number): void;
  decodeInt8(scales: number, integers: number, values: number, n: number): void;
  encodeInt4(values: number, scales: number, pairs: number, n: number): void;
  decodeInt4(scales: number, pairs: number, values: number, n: number): void;
  multiplyFactors(a: number, b: number, out: number, samples: number, inputs: number, outputs: number): void;
  add(a: number, b: number, n: number): void;
  addFlushed(a: number, b: number, n: number): void;
  subtract(a: number, b: number, n: number): void;
  subtractFinite(a: number, b: number, n: number): void;
}

/** Vectors pass through WebAssembly's memory in parts of this many values, small enough to stay in the cache. */
const PART = 32 * BLOCK;
const VALUES = 0;
/** A second vector of values. */
const OTHERS = 4 * PART;
/** Numbers of up to two bytes. */
const PACKED = OTHERS + 4 * PART;
const SCALES = PACKED + 2 * PART;
/** Behind these, for products of factors: two of them and a part of their product. */
const FACTOR_BYTES = SCALES + (4 * PART) / BLOCK;
const FACTOR_VALUES = 64 * 1024;
const ROOM_BYTES = FACTOR_BYTES + 4 * FACTOR_VALUES;

/** The kernels as SIMD WebAssembly, or null where there is none. */
export function simdKernels(): CodecKernels | null {
  const memory = instantiate(codecBytesBase64, ROOM_BYTES);
  if (memory === null) return null;
  const wasm = memory.exports as Exports;
  const values = new Float32Array(memory.buffer, VALUES, PART);
  const scales = new Float32Array(memory.buffer, SCALES, PART / BLOCK);
  const others = new Float32Array(memory.buffer, OTHERS, PART);
  const factors = new Float32Array(memory.buffer, FACTOR_BYTES, FACTOR_VALUES);

  type Pass = (start: number, end: number, padded: number) => void;
  const eachPart = (length: number, pass: Pass): void => {
    for (let start = 0; start < length; start += PART) {
      const end = Math.min(start + PART, length);
      pass(start, end, (end - start + 15) & ~15);
    }
  };
  /** Brings a part of a vector in, with zeros behind its end. */
  const bring = (room: Float32Array, from: Float32Array, [start, end, padded]: Parameters<Pass>): void => {
    room.set(from.subarray(start, end));
    room.fill(0, end - start, padded);
  };
  const take = (to: Float32Array, start: number, end: number): void =>
    to.set(values.subarray(0, end - start), start);

  const combine =
    (run: (a: number, b: number, n: number) => void) =>
    (a: Float32Array, b: Float32Array, out: Float32Array): void =>
      eachPart(a.length, (start, end, n) => {
        bring(values, a, [start, end, n]);
        bring(others, b, [start, end, n]);
        run(VALUES, OTHERS, n);
        take(out, start, end);
      });

  /**
   * @param numbers where a part's are
   * @param shift of a value's position to that of its number
   */
  const format = <N extends Numbers>(
    numbers: N,
    shift: 0 | 1,
    encode: (from: number, n: number) => void,
    decode: (to: number, n: number) => void,
  ): FormatKernels<N> => {
    const scalesOf = (packed: Packed<N>, start: number, end: number): Float32Array =>
      packed.scales.subarray(start / BLOCK, Math.ceil(end / BLOCK));
    const numbersOf = (packed: Packed<N>, start: number, end: number): N =>
      packed.numbers.subarray(start >> shift, (end + shift) >> shift) as N;
    /** Encodes what is in VALUES. */
    const pack = (packed: Packed<N>, [start, end, n]: Parameters<Pass>): void => {
      encode(VALUES, n);
      const to = [scalesOf(packed, start, end), numbersOf(packed, start, end)] as const;
      to[0].set(scales.subarray(0, to[0].length));
      to[1].set(numbers.subarray(0, to[1].length));
    };
    const unpack = (packed: Packed<N>, to: number, [start, end, n]: Parameters<Pass>): void => {
      scales.set(scalesOf(packed, start, end));
      numbers.set(numbersOf(packed, start, end));
      decode(to, n);
    };
    return {
      encode: (from, packed) =>
        eachPart(from.length, (...part) => {
          bring(values, from, part);
          pack(packed, part);
        }),
      encodeDifference: (from, base, packed) =>
        eachPart(from.length, (...part) => {
          bring(values, from, part);
          bring(others, base, part);
          wasm.subtract(VALUES, OTHERS, part[2]);
          pack(packed, part);
        }),
      encodeOwed: (from, owed, packed) =>
        eachPart(from.length, (...part) => {
          const [start, end, n] = part;
          bring(values, from, part);
          bring(others, owed, part);
          wasm.add(VALUES, OTHERS, n);
          pack(packed, part);
          decode(OTHERS, n);
          wasm.subtractFinite(VALUES, OTHERS, n);
          take(owed, start, end);
        }),
      decode: (packed, to) =>
        eachPart(to.length, (...part) => {
          unpack(packed, VALUES, part);
          take(to, part[0], part[1]);
        }),
      decodeOnto: (packed, base, out) =>
        eachPart(out.length, (...part) => {
          bring(values, base, part);
          unpack(packed, OTHERS, part);
          wasm.add(VALUES, OTHERS, part[2]);
          take(out, part[0], part[1]);
        }),
    };
  };

  /** All of b stays in the memory, and as many columns of a as there is room for. @returns whether there is any */
  const multiplyInParts = (
    a: Float32Array,
    b: Float32Array,
    out: Float32Array,
    { samples, inputs, outputs }: FactorSides,
  ): boolean => {
    const width = Math.ceil(outputs / 8) * 8;
    const room = FACTOR_VALUES - samples * width;
    const columns = Math.floor(room / (samples + width) / 4) * 4;
    if (columns < 4) return false;
    for (let s = 0; s < samples; s++) {
      factors.fill(0, s * width, (s + 1) * width);
      factors.set(b.subarray(s * outputs, (s + 1) * outputs), s * width);
    }
    const [aAt, outAt] = [samples * width, samples * width + samples * columns];
    for (let from = 0; from < inputs; from += columns) {
      const count = Math.min(columns, inputs - from);
      const padded = Math.ceil(count / 4) * 4;
      for (let s = 0; s < samples; s++) {
        const start = aAt + s * padded;
        factors.set(a.subarray(s * inputs + from, s * inputs + from + count), start);
        factors.fill(0, start + count, start + padded);
      }
      wasm.multiplyFactors(
        FACTOR_BYTES + 4 * aAt,
        FACTOR_BYTES,
        FACTOR_BYTES + 4 * outAt,
        samples,
        padded,
        width,
      );
      for (let i = 0; width !== outputs && i < count; i++) {
        const start = outAt + i * width;
        out.set(factors.subarray(start, start + outputs), (from + i) * outputs);
      }
      if (width === outputs) out.set(factors.subarray(outAt, outAt + count * width), from * outputs);
    }
    return true;
  };
  return {
    float16: format(
      new Uint16Array(memory.buffer, PACKED, PART),
      0,
      (from, n) => wasm.encodeFloat16(from, PACKED, n),
      (to, n) => wasm.decodeFloat16(PACKED, to, n),
    ),
    int8: format(
      new Int8Array(memory.buffer, PACKED, PART),
      0,
      (from, n) => wasm.encodeInt8(from, SCALES, PACKED, n),
      (to, n) => wasm.decodeInt8(SCALES, PACKED, to, n),
    ),
    int4: format(
      new Uint8Array(memory.buffer, PACKED, PART / 2),
      1,
      (from, n) => wasm.encodeInt4(from, SCALES, PACKED, n),
      (to, n) => wasm.decodeInt4(SCALES, PACKED, to, n),
    ),
    multiplyFactors: (a, b, out, sides) => {
      if (!multiplyInParts(a, b, out, sides)) scalarKernels.multiplyFactors(a, b, out, sides);
    },
    add: combine((a, b, n) => wasm.add(a, b, n)),
    subtract: combine((a, b, n) => wasm.subtract(a, b, n)),
    addFlushed: combine((a, b, n) => wasm.addFlushed(a, b, n)),
  };
}

/** The fastest that there are; all give the same bits. */
export const codecKernels: CodecKernels = simdKernels() ?? scalarKernels;
