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

/** Exports of codec.as. Pointers count bytes, n counts values. */
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

/** Values of a chunk. Vectors pass through WebAssembly's memory in chunks that fit into the CPU's cache. */
const CHUNK_VALUES = 32 * SCALE_BLOCK_SIZE;
const VALUES_OFFSET = 0;
/** Second operand. */
const OTHERS_OFFSET = 4 * CHUNK_VALUES;
/** Encoded values of up to two bytes. */
const PACKED_OFFSET = OTHERS_OFFSET + 4 * CHUNK_VALUES;
const SCALES_OFFSET = PACKED_OFFSET + 2 * CHUNK_VALUES;
/** Two factors and a part of their product. */
const FACTORS_OFFSET = SCALES_OFFSET + (4 * CHUNK_VALUES) / SCALE_BLOCK_SIZE;
const FACTOR_VALUES = 64 * 1024;
const MEMORY_BYTES = FACTORS_OFFSET + 4 * FACTOR_VALUES;

/** Kernels in WebAssembly with SIMD, or null if the platform lacks it. */
export function simdKernels(): CodecKernels | null {
  const memory = instantiate(codecBytesBase64, MEMORY_BYTES);
  if (memory === null) return null;
  const wasm = memory.exports as Exports;
  const values = new Float32Array(memory.buffer, VALUES_OFFSET, CHUNK_VALUES);
  const scales = new Float32Array(memory.buffer, SCALES_OFFSET, CHUNK_VALUES / SCALE_BLOCK_SIZE);
  const others = new Float32Array(memory.buffer, OTHERS_OFFSET, CHUNK_VALUES);
  const factors = new Float32Array(memory.buffer, FACTORS_OFFSET, FACTOR_VALUES);

  /** Chunk of a vector; `padded` is its length rounded up to a multiple of 16. */
  interface Chunk {
    readonly start: number;
    readonly end: number;
    readonly padded: number;
  }
  const forEachChunk = (length: number, pass: (chunk: Chunk) => void): void => {
    for (let start = 0; start < length; start += CHUNK_VALUES) {
      const end = Math.min(start + CHUNK_VALUES, length);
      pass({ start, end, padded: (end - start + 15) & ~15 });
    }
  };
  /** Copies a chunk of a vector into WebAssembly's memory and pads it with zeros. */
  const copyIn = (buffer: Float32Array, from: Float32Array, { start, end, padded }: Chunk): void => {
    buffer.set(from.subarray(start, end));
    buffer.fill(0, end - start, padded);
  };
  const copyOut = (to: Float32Array, { start, end }: Chunk): void =>
    to.set(values.subarray(0, end - start), start);

  const combine =
    (run: (a: number, b: number, n: number) => void) =>
    (a: Float32Array, b: Float32Array, out: Float32Array): void =>
      forEachChunk(a.length, (chunk) => {
        copyIn(values, a, chunk);
        copyIn(others, b, chunk);
        run(VALUES_OFFSET, OTHERS_OFFSET, chunk.padded);
        copyOut(out, chunk);
      });

  /**
   * Operations of one format.
   * @param numbers view of a chunk's encoded values in WebAssembly's memory
   * @param shift 1 if an element of `numbers` holds two values, otherwise 0
   */
  const format = <N extends PackedArray>(
    numbers: N,
    shift: 0 | 1,
    encode: (from: number, n: number) => void,
    decode: (to: number, n: number) => void,
  ): FormatKernels<N> => {
    const scalesOf = (packed: PackedVector<N>, { start, end }: Chunk): Float32Array =>
      packed.scales.subarray(start / SCALE_BLOCK_SIZE, Math.ceil(end / SCALE_BLOCK_SIZE));
    const numbersOf = (packed: PackedVector<N>, { start, end }: Chunk): N =>
      packed.values.subarray(start >> shift, (end + shift) >> shift) as N;
    /** Encodes the values at VALUES_OFFSET. */
    const pack = (packed: PackedVector<N>, chunk: Chunk): void => {
      encode(VALUES_OFFSET, chunk.padded);
      const packedScales = scalesOf(packed, chunk);
      const packedNumbers = numbersOf(packed, chunk);
      packedScales.set(scales.subarray(0, packedScales.length));
      packedNumbers.set(numbers.subarray(0, packedNumbers.length));
    };
    /** Decodes a chunk to a pointer. */
    const unpack = (packed: PackedVector<N>, to: number, chunk: Chunk): void => {
      scales.set(scalesOf(packed, chunk));
      numbers.set(numbersOf(packed, chunk));
      decode(to, chunk.padded);
    };
    return {
      encode: (from, packed) =>
        forEachChunk(from.length, (chunk) => {
          copyIn(values, from, chunk);
          pack(packed, chunk);
        }),
      encodeDifference: (from, base, packed) =>
        forEachChunk(from.length, (chunk) => {
          copyIn(values, from, chunk);
          copyIn(others, base, chunk);
          wasm.subtract(VALUES_OFFSET, OTHERS_OFFSET, chunk.padded);
          pack(packed, chunk);
        }),
      encodeWithResidual: (from, residual, packed) =>
        forEachChunk(from.length, (chunk) => {
          copyIn(values, from, chunk);
          copyIn(others, residual, chunk);
          wasm.add(VALUES_OFFSET, OTHERS_OFFSET, chunk.padded);
          pack(packed, chunk);
          decode(OTHERS_OFFSET, chunk.padded);
          wasm.subtractFinite(VALUES_OFFSET, OTHERS_OFFSET, chunk.padded);
          copyOut(residual, chunk);
        }),
      decode: (packed, to) =>
        forEachChunk(to.length, (chunk) => {
          unpack(packed, VALUES_OFFSET, chunk);
          copyOut(to, chunk);
        }),
      decodeOnto: (packed, base, out) =>
        forEachChunk(out.length, (chunk) => {
          copyIn(values, base, chunk);
          unpack(packed, OTHERS_OFFSET, chunk);
          wasm.add(VALUES_OFFSET, OTHERS_OFFSET, chunk.padded);
          copyOut(out, chunk);
        }),
    };
  };

  /**
   * Multiplies factors with all of b and some columns of a in WebAssembly's memory at a time.
   * @returns false if the memory is too small for four columns of a
   */
  const multiplyByColumns = (
    a: Float32Array,
    b: Float32Array,
    out: Float32Array,
    { samples, inputs, outputs }: FactorShape,
  ): boolean => {
    const width = Math.ceil(outputs / 8) * 8;
    const free = FACTOR_VALUES - samples * width;
    const columns = Math.floor(free / (samples + width) / 4) * 4;
    if (columns < 4) return false;
    for (let s = 0; s < samples; s++) {
      factors.fill(0, s * width, (s + 1) * width);
      factors.set(b.subarray(s * outputs, (s + 1) * outputs), s * width);
    }
    const aOffset = samples * width;
    const outOffset = aOffset + samples * columns;
    for (let from = 0; from < inputs; from += columns) {
      const count = Math.min(columns, inputs - from);
      const padded = Math.ceil(count / 4) * 4;
      for (let s = 0; s < samples; s++) {
        const start = aOffset + s * padded;
        factors.set(a.subarray(s * inputs + from, s * inputs + from + count), start);
        factors.fill(0, start + count, start + padded);
      }
      wasm.multiplyFactors(
        FACTORS_OFFSET + 4 * aOffset,
        FACTORS_OFFSET,
        FACTORS_OFFSET + 4 * outOffset,
        samples,
        padded,
        width,
      );
      for (let i = 0; width !== outputs && i < count; i++) {
        const start = outOffset + i * width;
        out.set(factors.subarray(start, start + outputs), (from + i) * outputs);
      }
      if (width === outputs) out.set(factors.subarray(outOffset, outOffset + count * width), from * outputs);
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
    multiplyFactors: (a, b, out, shape) => {
      if (!multiplyByColumns(a, b, out, shape)) scalarKernels.multiplyFactors(a, b, out, shape);
    },
    add: combine((a, b, n) => wasm.add(a, b, n)),
    subtract: combine((a, b, n) => wasm.subtract(a, b, n)),
    addFlushToZero: combine((a, b, n) => wasm.addFlushed(a, b, n)),
  };
}

/** Fastest kernels of the platform; all kernels give the same bits. */
export const codecKernels: CodecKernels = simdKernels() ?? scalarKernels;
