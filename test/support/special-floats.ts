import fc from 'fast-check';

/** Bits of the only NaN that codecs compute, decode or write as a scale. */
export const NAN_BITS = 0x7fc00000;

/** Vector with these bits. */
export const floatsOf = (bits: readonly number[] | Uint32Array): Float32Array =>
  new Float32Array(Uint32Array.from(bits).buffer);

/** Bits of a vector. */
export const bitsOf = ({ buffer, byteOffset, length }: Float32Array): number[] => [
  ...new Uint32Array(buffer, byteOffset, length),
];

/** NaN of both signs, quiet and signaling, with and without a payload. */
export const NAN_PATTERNS = [
  0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0x7fc00123,
];
export const INFINITY_PATTERNS = [0x7f800000, 0xff800000];
/** Magnitudes at which a codec changes its behavior, and their neighbors. */
const LIMITS = [
  ...[0, 1, 0x007fffff, 0x00800000], // zero, the smallest and largest subnormal value, the smallest normal value
  ...[0x0d7fffff, 0x0d800000], // 2^-100, below which a block becomes zero
  ...[0x33000000, 0x33000001, 0x33800000, 0x387fffff, 0x38800000], // subnormal halves: 2^-25, 2^-24, 2^-14
  ...[0x477fe000, 0x477fefff, 0x477ff000, 0x47800000], // the largest halves: 65504, below 65520, 65520, 65536
  ...[0x7f7fc99e, 0x7f7fc99f, 0x7f7fffff], // 3.4e38, the next one, the largest value
];
export const FINITE_PATTERNS = [...LIMITS, ...LIMITS.map((bits) => (bits | 0x80000000) >>> 0)];

const sign = fc.constantFrom(0, 0x80000000);
const withSign = (magnitude: fc.Arbitrary<number>): fc.Arbitrary<number> =>
  fc.tuple(magnitude, sign).map(([bits, signBit]) => (bits | signBit) >>> 0);
const nan = fc.oneof(
  fc.constantFrom(...NAN_PATTERNS),
  withSign(fc.integer({ min: 0x7f800001, max: 0x7fffffff })),
);
const subnormal = withSign(fc.integer({ min: 1, max: 0x007fffff }));
/** Magnitudes of halves, from 2^-26 to 2^17. */
const halfRange = withSign(fc.integer({ min: 0x32800000, max: 0x48000000 }));
/** Magnitudes of gradients, from 2^-20 to 1. */
const ordinary = withSign(fc.integer({ min: 0x35800000, max: 0x3f800000 }));
const anyFinite = withSign(fc.integer({ min: 0, max: 0x7f7fffff }));
const finite = fc.oneof(fc.constantFrom(...FINITE_PATTERNS), subnormal, halfRange, ordinary, anyFinite);
const notFinite = fc.oneof(nan, fc.constantFrom(...INFINITY_PATTERNS));

/** Bits of a value that is often NaN, infinite, a zero of either sign, subnormal, or at a limit of a codec. */
export const anyBits = fc.oneof({ weight: 2, arbitrary: notFinite }, { weight: 3, arbitrary: finite });
/** Bits of a NaN or an infinity. */
export const notFiniteBits = notFinite;
/** Bits of a finite value that is often special. */
export const finiteBits = finite;

const MIXTURES = [
  anyBits,
  finite,
  ordinary,
  subnormal,
  fc.oneof({ weight: 60, arbitrary: ordinary }, { weight: 1, arbitrary: notFinite }),
];

/** Lengths around the ends of pairs, of groups of 16, and of blocks of 256. */
export const lengths = fc.oneof(
  fc.nat(40),
  fc.constantFrom(255, 256, 257, 271, 272, 511, 512, 513),
  fc.nat(700),
);

/** Vectors with alternating ordinary and special stretches, so that blocks with and without NaN are neighbors. */
export const specialVectors = (length: fc.Arbitrary<number> = lengths): fc.Arbitrary<Float32Array> =>
  length.chain((values) => {
    const first = Math.min(values, 256);
    return fc
      .tuple(stretch(first), stretch(values - first))
      .map(([one, other]) => floatsOf([...one, ...other]));
  });

const stretch = (length: number): fc.Arbitrary<number[]> =>
  fc.oneof(...MIXTURES.map((bits) => fc.array(bits, { minLength: length, maxLength: length })));

/** Finite vectors. */
export const finiteVectors: fc.Arbitrary<Float32Array> = lengths.chain((length) =>
  fc
    .oneof(
      fc.array(finite, { minLength: length, maxLength: length }),
      fc.array(ordinary, { minLength: length, maxLength: length }),
      fc.array(subnormal, { minLength: length, maxLength: length }),
    )
    .map((bits) => floatsOf(bits)),
);
