import type { Codec } from './codec.ts';
import { codecKernels } from './kernels/simd.ts';

/**
 * Encodes one vector after another; what the codec loses of one is added to the next, so that their sum arrives whole
 * but for the last one's loss (error feedback; Seide et al., "1-bit stochastic gradient descent", Interspeech 2014).
 */
export class FeedbackEncoder {
  readonly #length: number;
  #codec: Codec;
  /** What has not arrived yet; null as long as nothing was lost. */
  #residual: Float32Array | null = null;
  #decoded: Float32Array | null = null;

  /** @param length of the vectors */
  constructor(codec: Codec, length: number) {
    this.#codec = codec;
    this.#length = length;
  }

  /** From now on vectors are encoded so; what was lost before is still owed. */
  use(codec: Codec): void {
    this.#codec = codec;
  }

  bytes(length: number): number {
    return this.#codec.bytes(length);
  }

  /**
   * @param values the vector, or the part of it that starts at `from`; left as what was encoded, if that is not the same
   * @param payload of bytes(values.length) bytes, 4-byte aligned
   */
  encode(values: Float32Array, payload: Uint8Array, from = 0): void {
    const { length } = values;
    const codec = this.#codec;
    if (codec.lossy) this.#residual ??= new Float32Array(this.#length);
    const residual = this.#residual?.subarray(from, from + length);
    if (residual !== undefined) codecKernels.add(values, residual, values);
    codec.encode(values, payload);
    if (residual === undefined) return;
    if (!codec.lossy) {
      residual.fill(0);
      return;
    }
    this.#decoded ??= new Float32Array(this.#length);
    const decoded = codec.decode(payload, length, this.#decoded.subarray(0, length));
    // Infinities and NaN are not for the next vector.
    codecKernels.subtractFinite(values, decoded, residual);
  }
}
