import {
  SCALE_BLOCK_SIZE,
  type CodecKernels,
  type FormatKernels,
  type PackedArray,
} from './codec-kernels.ts';

/** Bits of single precision, without the sign. */
const INFINITE = 0x7f800000;
/** 65520: what lies below rounds to 65504, the largest value of half precision, or less. */
const HALF_OVERFLOW = 0x477ff000;
/** 2^-14: below it, half precision has subnormal values, all 2^-24 apart. */
const HALF_SUBNORMAL = 0x38800000;
/** Takes the difference of the two exponent biases away, where the exponent stands. */
const REBIAS = 0xc8000000 | 0;

const MAX_HALF = 0x7bff;
const INFINITE_HALF = 0x7c00;
const NAN_HALF = 0x7e00;
/** Bits of the only NaN that is written: JavaScript leaves sign and payload of a stored NaN to the engine. */
const NAN = 0x7fc00000;

/** Blocks whose values all lie below this become zero: the inverse of their scale would be infinite. */
const MIN_BLOCK_MAGNITUDE = 2 ** -100;
/** The largest value that scales are made for, so that none becomes infinite when it is decoded. */
const MAX_SCALE_MAGNITUDE = Math.fround(3.4e38);
/** Added and taken away again in double precision, it rounds to the nearest integer, ties to even. */
const ROUNDING_BIAS = 1.5 * 2 ** 52;

const oneInt = new Int32Array(1);
const oneFloat = new Float32Array(oneInt.buffer);

/** Bits of every value of half precision, by its bits; made when it is first needed. */
let halfValues: Int32Array | null = null;

/** The passes that are made of others, with the roundings of these. */
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
    encodeWithResidual(values, owed, packed) {
      const sum = values.map((value, i) => value + (owed[i] as number));
      encode(sum, packed);
      decode(packed, owed);
      for (let i = 0; i < owed.length; i++) {
        const lost = Math.fround((sum[i] as number) - (owed[i] as number));
        owed[i] = Number.isFinite(lost) ? lost : 0;
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
 * The passes of codec.as one value at a time, with the same bits for every value: what serves where WebAssembly has no
 * SIMD, and what the tests compare with.
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
      // Blocks start at a byte of their own; only the last one may end within one.
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

/** NaN of any bits becomes the one NaN. */
function canonicalize(values: Float32Array): void {
  const bits = bitsOf(values);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) bits[i] = NAN;
  }
}

const bitsOf = ({ buffer, byteOffset, length }: Float32Array): Int32Array =>
  new Int32Array(buffer, byteOffset, length);

/** The least normal number of single precision. */
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

/** Decodes each block with its scale, or fills it with NaN where the scale is not finite. */
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

/** Finds the scale of each block, and has the block encoded with its inverse: 0 where there is nothing to encode. */
function encodeBlocks(
  values: Float32Array,
  scales: Float32Array,
  most: number,
  encode: (inverse: number, from: number, to: number) => void,
): void {
  const bits = bitsOf(values);
  const scaleBits = bitsOf(scales);
  for (let block = 0; block < scales.length; block++) {
    const from = block * SCALE_BLOCK_SIZE;
    const to = Math.min(from + SCALE_BLOCK_SIZE, bits.length);
    const scale = blockScale(bits, from, to, most);
    if (Number.isNaN(scale)) scaleBits[block] = NAN;
    else scales[block] = scale;
    encode(scale > 0 ? Math.fround(1 / scale) : 0, from, to);
  }
}

/** NaN if a value of the block is not finite, 0 if all are as good as zero. */
function blockScale(bits: Int32Array, from: number, to: number, most: number): number {
  // Without the sign, the bits of values are in the order of their sizes; those of infinity and NaN come last.
  let largest = 0;
  for (let i = from; i < to; i++) {
    const size = (bits[i] as number) & 0x7fffffff;
    largest = size > largest ? size : largest;
  }
  if (largest >= INFINITE) return NaN;
  oneInt[0] = largest;
  const value = oneFloat[0] as number;
  return value < MIN_BLOCK_MAGNITUDE ? 0 : Math.fround(Math.min(value, MAX_SCALE_MAGNITUDE) / most);
}
