/** Values that share a scale. */
export const SCALE_BLOCK_SIZE = 256;

/** Sides of the product of two factors. */
export interface FactorShape {
  readonly samples: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** What formats make of values. */
export type PackedArray = Uint16Array | Int8Array | Uint8Array;

/** A vector as it travels; PROTOCOL.md has the formats. */
export interface PackedVector<N extends PackedArray> {
  /** Of each block; none where the format has no scales. */
  readonly scales: Float32Array;
  readonly values: N;
}

/** What a codec does to vectors of one length, each in a single pass over them. */
export interface FormatKernels<N extends PackedArray> {
  encode(values: Float32Array, packed: PackedVector<N>): void;
  /** Encodes values - base. */
  encodeDifference(values: Float32Array, base: Float32Array, packed: PackedVector<N>): void;
  /** Encodes values + owed; leaves in `owed` what was lost of that, and zero where that is not finite. */
  encodeWithResidual(values: Float32Array, owed: Float32Array, packed: PackedVector<N>): void;
  decode(packed: PackedVector<N>, values: Float32Array): void;
  /** out = base + what is decoded; `out` may be `base`. */
  decodeOnto(packed: PackedVector<N>, base: Float32Array, out: Float32Array): void;
}

/**
 * Passes over whole vectors. All implementations give the same bits on every machine, for NaN, infinities, -0 and
 * subnormal values too: arithmetic is that of IEEE 754, and a NaN that is computed, decoded or written as a scale has the
 * bits 0x7fc00000, in half precision 0x7e00.
 */
export interface CodecKernels {
  readonly float16: FormatKernels<Uint16Array>;
  readonly int8: FormatKernels<Int8Array>;
  /** Two values to a number. */
  readonly int4: FormatKernels<Uint8Array>;
  /**
   * out = a^T b, each value a sum over the samples in their order.
   * @param a [samples, inputs]
   * @param b [samples, outputs]
   * @param out [inputs, outputs]
   */
  multiplyFactors(a: Float32Array, b: Float32Array, out: Float32Array, sides: FactorShape): void;
  /** out = a + b; vectors of one length, of which `out` may be one. */
  add(a: Float32Array, b: Float32Array, out: Float32Array): void;
  /** out = a - b; vectors of one length, of which `out` may be one. */
  subtract(a: Float32Array, b: Float32Array, out: Float32Array): void;
  /**
   * out = a + b, where subnormal values count as zeros of their sign, those that are added and those that come out: as
   * TensorFlow adds.
   */
  addFlushToZero(a: Float32Array, b: Float32Array, out: Float32Array): void;
}
