import { instantiate } from '../../kernels/own-memory.ts';
import { codecBytesBase64 } from './codec-bytes.ts';
import { BLOCK, type CodecKernels, type FactorSides } from './kernels.ts';
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
const PACKED = 4 * PART;
/** The same room, for a second vector of values. */
const OTHERS = PACKED;
const SCALES = OTHERS + 4 * PART;
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
  const halves = new Uint16Array(memory.buffer, PACKED, PART);
  const integers = new Int8Array(memory.buffer, PACKED, PART);
  const factors = new Float32Array(memory.buffer, FACTOR_BYTES, FACTOR_VALUES);
  const pairs = new Uint8Array(memory.buffer, PACKED, PART / 2);

  /** Brings each part of a vector in, with zeros behind its end. */
  const encode = (from: Float32Array, run: (start: number, end: number, padded: number) => void): void => {
    for (let start = 0; start < from.length; start += PART) {
      const end = Math.min(start + PART, from.length);
      const padded = (end - start + 15) & ~15;
      values.set(from.subarray(start, end));
      values.fill(0, end - start, padded);
      run(start, end, padded);
    }
  };
  /** Has each part of a vector decoded, and takes it out. */
  const decode = (to: Float32Array, run: (start: number, end: number, padded: number) => void): void => {
    for (let start = 0; start < to.length; start += PART) {
      const end = Math.min(start + PART, to.length);
      run(start, end, (end - start + 15) & ~15);
      to.set(values.subarray(0, end - start), start);
    }
  };
  const combine =
    (run: (a: number, b: number, n: number) => void) =>
    (a: Float32Array, b: Float32Array, out: Float32Array): void =>
      encode(a, (start, end, n) => {
        others.set(b.subarray(start, end));
        run(VALUES, OTHERS, n);
        out.set(values.subarray(0, end - start), start);
      });
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
  const scalesFrom = (start: number): number => start / BLOCK;
  const scalesTo = (end: number): number => Math.ceil(end / BLOCK);
  const takeScales = (to: Float32Array, start: number, end: number): void =>
    to.set(scales.subarray(0, scalesTo(end) - scalesFrom(start)), scalesFrom(start));
  const bringScales = (from: Float32Array, start: number, end: number): void =>
    scales.set(from.subarray(scalesFrom(start), scalesTo(end)));

  return {
    encodeFloat16: (from, to) =>
      encode(from, (start, end, n) => {
        wasm.encodeFloat16(VALUES, PACKED, n);
        to.set(halves.subarray(0, end - start), start);
      }),
    decodeFloat16: (from, to) =>
      decode(to, (start, end, n) => {
        halves.set(from.subarray(start, end));
        wasm.decodeFloat16(PACKED, VALUES, n);
      }),
    encodeInt8: (from, toScales, to) =>
      encode(from, (start, end, n) => {
        wasm.encodeInt8(VALUES, SCALES, PACKED, n);
        takeScales(toScales, start, end);
        to.set(integers.subarray(0, end - start), start);
      }),
    decodeInt8: (fromScales, from, to) =>
      decode(to, (start, end, n) => {
        bringScales(fromScales, start, end);
        integers.set(from.subarray(start, end));
        wasm.decodeInt8(SCALES, PACKED, VALUES, n);
      }),
    encodeInt4: (from, toScales, to) =>
      encode(from, (start, end, n) => {
        wasm.encodeInt4(VALUES, SCALES, PACKED, n);
        takeScales(toScales, start, end);
        to.set(pairs.subarray(0, (end - start + 1) >> 1), start >> 1);
      }),
    decodeInt4: (fromScales, from, to) =>
      decode(to, (start, end, n) => {
        bringScales(fromScales, start, end);
        pairs.set(from.subarray(start >> 1, (end + 1) >> 1));
        wasm.decodeInt4(SCALES, PACKED, VALUES, n);
      }),
    multiplyFactors: (a, b, out, sides) => {
      if (!multiplyInParts(a, b, out, sides)) scalarKernels.multiplyFactors(a, b, out, sides);
    },
    add: combine((a, b, n) => wasm.add(a, b, n)),
    addFlushed: combine((a, b, n) => wasm.addFlushed(a, b, n)),
    subtract: combine((a, b, n) => wasm.subtract(a, b, n)),
    subtractFinite: combine((a, b, n) => wasm.subtractFinite(a, b, n)),
  };
}

/** The fastest that there are; all give the same bits. */
export const codecKernels: CodecKernels = simdKernels() ?? scalarKernels;
