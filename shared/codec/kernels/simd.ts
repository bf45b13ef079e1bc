import { instantiate } from '../../kernels/instantiate.ts';
import { codecBytesBase64 } from './codec-bytes.ts';
import {
  SCALE_BLOCK_SIZE,
  type CodecKernels,
  type FactorShape,
  type FormatKernels,
  type PackedArray,
  type PackedVector,
} from './codec-kernels.ts';
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
const CHUNK_VALUES = 32 * SCALE_BLOCK_SIZE;
const VALUES_OFFSET = 0;
/** A second vector of values. */
const OTHERS_OFFSET = 4 * CHUNK_VALUES;
/** Numbers of up to two bytes. */
const PACKED_OFFSET = OTHERS_OFFSET + 4 * CHUNK_VALUES;
const SCALES_OFFSET = PACKED_OFFSET + 2 * CHUNK_VALUES;
/** Behind these, for products of factors: two of them and a part of their product. */
const FACTORS_OFFSET = SCALES_OFFSET + (4 * CHUNK_VALUES) / SCALE_BLOCK_SIZE;
const FACTOR_VALUES = 64 * 1024;
const MEMORY_BYTES = FACTORS_OFFSET + 4 * FACTOR_VALUES;

/** The kernels as SIMD WebAssembly, or null where there is none. */
export function simdKernels(): CodecKernels | null {
  const memory = instantiate(codecBytesBase64, MEMORY_BYTES);
  if (memory === null) return null;
  const wasm = memory.exports as Exports;
  const values = new Float32Array(memory.buffer, VALUES_OFFSET, CHUNK_VALUES);
  const scales = new Float32Array(memory.buffer, SCALES_OFFSET, CHUNK_VALUES / SCALE_BLOCK_SIZE);
  const others = new Float32Array(memory.buffer, OTHERS_OFFSET, CHUNK_VALUES);
  const factors = new Float32Array(memory.buffer, FACTORS_OFFSET, FACTOR_VALUES);

  type Pass = (start: number, end: number, padded: number) => void;
  const eachPart = (length: number, pass: Pass): void => {
    for (let start = 0; start < length; start += CHUNK_VALUES) {
      const end = Math.min(start + CHUNK_VALUES, length);
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
        run(VALUES_OFFSET, OTHERS_OFFSET, n);
        take(out, start, end);
      });

  /**
   * @param numbers where a part's are
   * @param shift of a value's position to that of its number
   */
  const format = <N extends PackedArray>(
    numbers: N,
    shift: 0 | 1,
    encode: (from: number, n: number) => void,
    decode: (to: number, n: number) => void,
  ): FormatKernels<N> => {
    const scalesOf = (packed: PackedVector<N>, start: number, end: number): Float32Array =>
      packed.scales.subarray(start / SCALE_BLOCK_SIZE, Math.ceil(end / SCALE_BLOCK_SIZE));
    const numbersOf = (packed: PackedVector<N>, start: number, end: number): N =>
      packed.values.subarray(start >> shift, (end + shift) >> shift) as N;
    /** Encodes what is in VALUES. */
    const pack = (packed: PackedVector<N>, [start, end, n]: Parameters<Pass>): void => {
      encode(VALUES_OFFSET, n);
      const to = [scalesOf(packed, start, end), numbersOf(packed, start, end)] as const;
      to[0].set(scales.subarray(0, to[0].length));
      to[1].set(numbers.subarray(0, to[1].length));
    };
    const unpack = (packed: PackedVector<N>, to: number, [start, end, n]: Parameters<Pass>): void => {
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
          wasm.subtract(VALUES_OFFSET, OTHERS_OFFSET, part[2]);
          pack(packed, part);
        }),
      encodeWithResidual: (from, owed, packed) =>
        eachPart(from.length, (...part) => {
          const [start, end, n] = part;
          bring(values, from, part);
          bring(others, owed, part);
          wasm.add(VALUES_OFFSET, OTHERS_OFFSET, n);
          pack(packed, part);
          decode(OTHERS_OFFSET, n);
          wasm.subtractFinite(VALUES_OFFSET, OTHERS_OFFSET, n);
          take(owed, start, end);
        }),
      decode: (packed, to) =>
        eachPart(to.length, (...part) => {
          unpack(packed, VALUES_OFFSET, part);
          take(to, part[0], part[1]);
        }),
      decodeOnto: (packed, base, out) =>
        eachPart(out.length, (...part) => {
          bring(values, base, part);
          unpack(packed, OTHERS_OFFSET, part);
          wasm.add(VALUES_OFFSET, OTHERS_OFFSET, part[2]);
          take(out, part[0], part[1]);
        }),
    };
  };

  /** All of b stays in the memory, and as many columns of a as there is room for. @returns whether there is any */
  const multiplyInParts = (
    a: Float32Array,
    b: Float32Array,
    out: Float32Array,
    { samples, inputs, outputs }: FactorShape,
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
        FACTORS_OFFSET + 4 * aAt,
        FACTORS_OFFSET,
        FACTORS_OFFSET + 4 * outAt,
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
      new Uint16Array(memory.buffer, PACKED_OFFSET, CHUNK_VALUES),
      0,
      (from, n) => wasm.encodeFloat16(from, PACKED_OFFSET, n),
      (to, n) => wasm.decodeFloat16(PACKED_OFFSET, to, n),
    ),
    int8: format(
      new Int8Array(memory.buffer, PACKED_OFFSET, CHUNK_VALUES),
      0,
      (from, n) => wasm.encodeInt8(from, SCALES_OFFSET, PACKED_OFFSET, n),
      (to, n) => wasm.decodeInt8(SCALES_OFFSET, PACKED_OFFSET, to, n),
    ),
    int4: format(
      new Uint8Array(memory.buffer, PACKED_OFFSET, CHUNK_VALUES / 2),
      1,
      (from, n) => wasm.encodeInt4(from, SCALES_OFFSET, PACKED_OFFSET, n),
      (to, n) => wasm.decodeInt4(SCALES_OFFSET, PACKED_OFFSET, to, n),
    ),
    multiplyFactors: (a, b, out, sides) => {
      if (!multiplyInParts(a, b, out, sides)) scalarKernels.multiplyFactors(a, b, out, sides);
    },
    add: combine((a, b, n) => wasm.add(a, b, n)),
    subtract: combine((a, b, n) => wasm.subtract(a, b, n)),
    addFlushToZero: combine((a, b, n) => wasm.addFlushed(a, b, n)),
  };
}

/** The fastest that there are; all give the same bits. */
export const codecKernels: CodecKernels = simdKernels() ?? scalarKernels;
