/** Number of values that share a scale. */
export const SCALE_BLOCK_SIZE = 256;

/** Dimensions of the product of two factors. */
export interface FactorShape {
  readonly samples: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** Array of encoded values. */
export type PackedArray = Uint16Array | Int8Array | Uint8Array;

/** Encoded vector in one of the formats of PROTOCOL.md. */
export interface PackedVector<N extends PackedArray> {
  /** One scale for each block; empty if the format has no scales. */
  readonly scales: Float32Array;
  readonly values: N;
}

/** Operations of a format on vectors of one length, each a single pass over them. */
export interface FormatKernels<N extends PackedArray> {
  encode(values: Float32Array, packed: PackedVector<N>): void;
  /** Encodes values - base. */
  encodeDifference(values: Float32Array, base: Float32Array, packed: PackedVector<N>): void;
  /** Encodes values + residual and stores the encoding error in `residual`; +0 where the error is not finite. */
  encodeWithResidual(values: Float32Array, residual: Float32Array, packed: PackedVector<N>): void;
  decode(packed: PackedVector<N>, values: Float32Array): void;
  /** out = base + the decoded values; `out` may be `base`. */
  decodeOnto(packed: PackedVector<N>, base: Float32Array, out: Float32Array): void;
}

/**
 * Operations on whole vectors. All implementations give the same bits on every machine, also for NaN, infinities, -0 and
 * subnormal values: arithmetic follows IEEE 754, and a NaN that is computed, decoded or written as a scale has the bits
 * 0x7fc00000, in half precision 0x7e00.
 */
export interface CodecKernels {
  readonly float16: FormatKernels<Uint16Array>;
  readonly int8: FormatKernels<Int8Array>;
  /** Two values in each byte. */
  readonly int4: FormatKernels<Uint8Array>;
  /**
   * out = a^T b, each value a sum over the samples in their order.
   * @param a [samples, inputs]
   * @param b [samples, outputs]
   * @param out [inputs, outputs]
   */
  multiplyFactors(a: Float32Array, b: Float32Array, out: Float32Array, shape: FactorShape): void;
  /** out = a + b; vectors of one length, and `out` may be `a` or `b`. */
  add(a: Float32Array, b: Float32Array, out: Float32Array): void;
  /** out = a - b; vectors of one length, and `out` may be `a` or `b`. */
  subtract(a: Float32Array, b: Float32Array, out: Float32Array): void;
  /**
   * out = a + b with subnormal operands and results replaced by zeros with their sign, as TensorFlow adds.
   */
  addFlushToZero(a: Float32Array, b: Float32Array, out: Float32Array): void;
}
