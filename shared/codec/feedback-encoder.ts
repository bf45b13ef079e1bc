import type { Codec } from './codec.ts';
import { codecKernels } from './kernels/simd.ts';

/**
 * Encodes one vector after another; what the codec loses of one is added to the next, so that their sum arrives whole
 * but for the last one's loss (error feedback; Seide et al., "1-bit stochastic gradient descent", Interspeech 2014).
 */
export class FeedbackEncoder {
  readonly #codec: Codec;
  /** What has not arrived yet; null for a codec that loses nothing. */
  readonly #residual: Float32Array | null;
  readonly #decoded: Float32Array;

  /** @param length of the vectors */
  constructor(codec: Codec, length: number) {
    this.#codec = codec;
    this.#residual = codec.lossy ? new Float32Array(length) : null;
    this.#decoded = new Float32Array(codec.lossy ? length : 0);
  }

  bytes(length: number): number {
    return this.#codec.bytes(length);
  }

  /**
   * @param values the vector, or the part of it that starts at `from`; for a lossy codec, left as what was encoded
   * @param payload of bytes(values.length) bytes, 4-byte aligned
   */
  encode(values: Float32Array, payload: Uint8Array, from = 0): void {
    const { length } = values;
    const residual = this.#residual?.subarray(from, from + length);
    if (residual === undefined) {
      this.#codec.encode(values, payload);
      return;
    }
    codecKernels.add(values, residual, values);
    this.#codec.encode(values, payload);
    const decoded = this.#codec.decode(payload, length, this.#decoded.subarray(0, length));
    // Infinities and NaN are not for the next vector.
    codecKernels.subtractFinite(values, decoded, residual);
  }
}
