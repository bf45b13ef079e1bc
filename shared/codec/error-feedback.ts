import type { Codec } from './codec.ts';

/**
 * Error feedback for a sequence of vectors: the encoding error of one vector is added to the next, so that only the error of
 * the last vector is missing from the sum of the decoded vectors (Seide et al., "1-bit stochastic gradient descent",
 * Interspeech 2014).
 */
export class ErrorFeedback {
  /** Encoding error that the next vector makes up for. */
  readonly #residual: Float32Array;

  /** @param length of the vectors */
  constructor(length: number) {
    this.#residual = new Float32Array(length);
  }

  /**
   * Encodes a vector, or the part of it that starts at `from`. Each vector may have another codec.
   * @param payload of codec.bytes(values.length) bytes, 4-byte aligned
   */
  encode(codec: Codec, values: Float32Array, payload: Uint8Array, from = 0): void {
    codec.encodeWithResidual(values, this.#residual.subarray(from, from + values.length), payload);
  }
}
