import {
  SCALE_BLOCK_SIZE,
  type CodecKernels,
  type FormatKernels,
  type PackedArray,
} from './codec-kernels.ts';

/** Bits of infinity in single precision. */
const INFINITE = 0x7f800000;
/** Bits of 65520: smaller values round to at most 65504, the largest half. */
const HALF_OVERFLOW = 0x477ff000;
/** Bits of 2^-14: smaller values are subnormal halves, which are 2^-24 apart. */
const HALF_SUBNORMAL = 0x38800000;
/** Difference of the two exponent biases, shifted to the exponent's bits and negated. */
const REBIAS = 0xc8000000 | 0;

const MAX_HALF = 0x7bff;
const INFINITE_HALF = 0x7c00;
const NAN_HALF = 0x7e00;
/** Bits of every NaN that is written. Stores of NaN as a number would leave the bits to the JavaScript engine. */
const NAN = 0x7fc00000;

/** Blocks with only smaller magnitudes become zero, because the inverse of their scale would be infinite. */
const MIN_BLOCK_MAGNITUDE = 2 ** -100;
/** Largest magnitude that a scale is made for, so that no decoded value is infinite. */
const MAX_SCALE_MAGNITUDE = Math.fround(3.4e38);
/** Addend in double precision that rounds to the nearest integer, ties to even, when it is subtracted again. */
const ROUNDING_BIAS = 1.5 * 2 ** 52;

const oneInt = new Int32Array(1);
const oneFloat = new Float32Array(oneInt.buffer);

/** Bits in single precision for the bits of each half; built on first use. */
let halfValues: Int32Array | null = null;

/** Format whose other operations are composed of its encoding and decoding, with the same rounding. */
function composeFormat<N extends PackedArray>({
  encode,
  decode,
}: Pick<FormatKernels<N>, 'encode' | 'decode'>): FormatKernels<N> {
  return {
    encode,
    decode,
    encodeDifference(values, base, packed) {
      encode(
        values.map((value, i) => value - (base[i] as number)),
        packed,
      );
    },
    encodeWithResidual(values, residual, packed) {
      const sum = values.map((value, i) => value + (residual[i] as number));
      encode(sum, packed);
      decode(packed, residual);
      for (let i = 0; i < residual.length; i++) {
        const error = Math.fround((sum[i] as number) - (residual[i] as number));
        residual[i] = Number.isFinite(error) ? error : 0;
      }
    },
    decodeOnto(packed, base, out) {
      const decoded = new Float32Array(out.length);
      decode(packed, decoded);
      scalarKernels.add(base, decoded, out);
    },
  };
}

/**
 * Operations of codec.as on one value at a time, with the same bits: the fallback without WebAssembly SIMD, and the
 * reference of the tests.
 */
export const scalarKernels: CodecKernels = {
  float16: composeFormat<Uint16Array>({
    encode(values, { values: numbers }) {
      const bits = bitsOf(values);
      for (let i = 0; i < bits.length; i++) {
        const bit = bits[i] as number;
        const size = bit & 0x7fffffff;
        const sign = (bit >>> 16) & 0x8000;
        if (size < HALF_SUBNORMAL)
          numbers[i] = sign | (Math.abs(values[i] as number) * 2 ** 24 + ROUNDING_BIAS - ROUNDING_BIAS);
        else if (size < HALF_OVERFLOW)
          numbers[i] = sign | ((size + REBIAS + 0xfff + ((size >>> 13) & 1)) >>> 13);
        else if (size < INFINITE) numbers[i] = sign | MAX_HALF;
        else numbers[i] = size === INFINITE ? sign | INFINITE_HALF : NAN_HALF;
      }
    },
    decode({ values: numbers }, values) {
      const table = (halfValues ??= buildHalfTable());
      const bits = bitsOf(values);
      for (let i = 0; i < numbers.length; i++) bits[i] = table[numbers[i] as number] as number;
    },
  }),

  int8: composeFormat<Int8Array>({
    encode(values, { scales, values: numbers }) {
      encodeBlocks(values, scales, 127, (inverse, from, to) => {
        if (inverse === 0) numbers.fill(0, from, to);
        else for (let i = from; i < to; i++) numbers[i] = roundToInteger(values[i] as number, inverse);
      });
    },
    decode({ scales, values: numbers }, values) {
      decodeBlocks(scales, values, (scale, from, to) => {
        for (let i = from; i < to; i++) values[i] = (numbers[i] as number) * scale;
      });
    },
  }),

  int4: composeFormat<Uint8Array>({
    encode(values, { scales, values: numbers }) {
      // Every block begins at a byte boundary; only the last block may end within a byte.
      encodeBlocks(values, scales, 7, (inverse, from, to) => {
        for (let i = from; i < to; i += 2) {
          const low = roundToInteger(values[i] as number, inverse);
          const high = i + 1 < to ? roundToInteger(values[i + 1] as number, inverse) : 0;
          numbers[i >> 1] = (low & 15) | (high << 4);
        }
      });
    },
    decode({ scales, values: numbers }, values) {
      decodeBlocks(scales, values, (scale, from, to) => {
        for (let i = from; i < to; i++) {
          const pair = numbers[i >> 1] as number;
          values[i] = ((pair << (i & 1 ? 24 : 28)) >> 28) * scale;
        }
      });
    },
  }),

  multiplyFactors(a, b, out, { samples, inputs, outputs }) {
    const row = new Float32Array(outputs);
    for (let i = 0; i < inputs; i++) {
      row.fill(0);
      for (let s = 0; s < samples; s++) {
        const factor = a[s * inputs + i] as number;
        for (let j = 0; j < outputs; j++) {
          row[j] = (row[j] as number) + Math.fround(factor * (b[s * outputs + j] as number));
        }
      }
      out.set(row, i * outputs);
    }
    canonicalize(out);
  },

  add(a, b, out) {
    const bits = bitsOf(out);
    for (let i = 0; i < out.length; i++) {
      const sum = (a[i] as number) + (b[i] as number);
      if (Number.isNaN(sum)) bits[i] = NAN;
      else out[i] = sum;
    }
  },

  subtract(a, b, out) {
    const bits = bitsOf(out);
    for (let i = 0; i < out.length; i++) {
      const difference = (a[i] as number) - (b[i] as number);
      if (Number.isNaN(difference)) bits[i] = NAN;
      else out[i] = difference;
    }
  },

  addFlushToZero(a, b, out) {
    const bits = bitsOf(out);
    for (let i = 0; i < out.length; i++) {
      const sum = Math.fround(flushToZero(a[i] as number) + flushToZero(b[i] as number));
      if (Number.isNaN(sum)) bits[i] = NAN;
      else out[i] = flushToZero(sum);
    }
  },
};

/** Gives every NaN the same bits. */
function canonicalize(values: Float32Array): void {
  const bits = bitsOf(values);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) bits[i] = NAN;
  }
}

const bitsOf = ({ buffer, byteOffset, length }: Float32Array): Int32Array =>
  new Int32Array(buffer, byteOffset, length);

/** Smallest normal number of single precision. */
const MIN_NORMAL = 2 ** -126;

const flushToZero = (value: number): number => (Math.abs(value) < MIN_NORMAL ? value * 0 : value);

const roundToInteger = (value: number, inverse: number): number =>
  Math.fround(value * inverse) + ROUNDING_BIAS - ROUNDING_BIAS;

function buildHalfTable(): Int32Array {
  const values = Float32Array.from({ length: 1 << 16 }, (_, half) => halfToFloatBits(half));
  canonicalize(values);
  return bitsOf(values);
}

function halfToFloatBits(half: number): number {
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  const special = fraction === 0 ? Infinity : NaN;
  const finite = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  const size = exponent === 31 ? special : finite;
  return half & 0x8000 ? -size : size;
}

/** Decodes each block with its scale, or fills the block with NaN if its scale is not finite. */
function decodeBlocks(
  scales: Float32Array,
  values: Float32Array,
  decode: (scale: number, from: number, to: number) => void,
): void {
  for (let block = 0; block < scales.length; block++) {
    const scale = scales[block] as number;
    const from = block * SCALE_BLOCK_SIZE;
    const to = Math.min(from + SCALE_BLOCK_SIZE, values.length);
    if (Number.isFinite(scale)) decode(scale, from, to);
    else bitsOf(values).fill(NAN, from, to);
  }
}

/** Computes each block's scale and calls `encode` with its inverse, or with 0 for a block of zeros. */
function encodeBlocks(
  values: Float32Array,
  scales: Float32Array,
  maxInteger: number,
  encode: (inverse: number, from: number, to: number) => void,
): void {
  const bits = bitsOf(values);
  const scaleBits = bitsOf(scales);
  for (let block = 0; block < scales.length; block++) {
    const from = block * SCALE_BLOCK_SIZE;
    const to = Math.min(from + SCALE_BLOCK_SIZE, bits.length);
    const scale = blockScale(bits, from, to, maxInteger);
    if (Number.isNaN(scale)) scaleBits[block] = NAN;
    else scales[block] = scale;
    encode(scale > 0 ? Math.fround(1 / scale) : 0, from, to);
  }
}

/** Scale of a block; NaN if a value is not finite, 0 if all magnitudes are below MIN_BLOCK_MAGNITUDE. */
function blockScale(bits: Int32Array, from: number, to: number, maxInteger: number): number {
  // Without the sign bit, the bits of floats sort like their magnitudes, with infinity and NaN last.
  let largest = 0;
  for (let i = from; i < to; i++) {
    const size = (bits[i] as number) & 0x7fffffff;
    largest = size > largest ? size : largest;
  }
  if (largest >= INFINITE) return NaN;
  oneInt[0] = largest;
  const value = oneFloat[0] as number;
  return value < MIN_BLOCK_MAGNITUDE ? 0 : Math.fround(Math.min(value, MAX_SCALE_MAGNITUDE) / maxInteger);
}
