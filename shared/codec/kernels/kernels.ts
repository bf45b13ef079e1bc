/** Values that share a scale. */
export const BLOCK = 256;

/** Sides of the product of two factors. */
export interface FactorSides {
  readonly samples: number;
  readonly inputs: number;
  readonly outputs: number;
}

/** What codecs do to each value, over whole vectors; PROTOCOL.md has the formats. There is a scale for each block. */
export interface CodecKernels {
  encodeFloat16(values: Float32Array, halves: Uint16Array): void;
  decodeFloat16(halves: Uint16Array, values: Float32Array): void;
  encodeInt8(values: Float32Array, scales: Float32Array, integers: Int8Array): void;
  decodeInt8(scales: Float32Array, integers: Int8Array, values: Float32Array): void;
  encodeInt4(values: Float32Array, scales: Float32Array, pairs: Uint8Array): void;
  decodeInt4(scales: Float32Array, pairs: Uint8Array, values: Float32Array): void;
  /**
   * out = a^T b, each value a sum over the samples in their order.
   * @param a [samples, inputs]
   * @param b [samples, outputs]
   * @param out [inputs, outputs]
   */
  multiplyFactors(a: Float32Array, b: Float32Array, out: Float32Array, sides: FactorSides): void;
  /** out = a + b; vectors of one length, of which `out` may be one. */
  add(a: Float32Array, b: Float32Array, out: Float32Array): void;
  /**
   * out = a + b, where subnormal values count as zeros of their sign, those that are added and those that come out: as
   * TensorFlow adds.
   */
  addFlushed(a: Float32Array, b: Float32Array, out: Float32Array): void;
  /** out = a - b */
  subtract(a: Float32Array, b: Float32Array, out: Float32Array): void;
  /** out = a - b, and zero where that is not finite */
  subtractFinite(a: Float32Array, b: Float32Array, out: Float32Array): void;
}
