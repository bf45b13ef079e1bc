import type { Codec } from './codec.ts';
import { float32 } from './float32.ts';

/**
 * Encodes one vector after another; what the codec loses of one is added to the next, so that their sum arrives whole
 * but for the last one's loss (error feedback; Seide et al., "1-bit stochastic gradient descent", Interspeech 2014).
 */
export class ErrorFeedbackEncoder {
  readonly #length: number;
  #codec: Codec;
  /** What has not arrived yet; null as long as nothing was lost. */
  #residual: Float32Array | null = null;

  /** @param length of the vectors */
  constructor(codec: Codec, length: number) {
    this.#codec = codec;
    this.#length = length;
  }

  /** From now on vectors are encoded so; what was lost before is still owed. */
  setCodec(codec: Codec): void {
    this.#codec = codec;
  }

  /** Whether a payload is but the values themselves. */
  get isIdentity(): boolean {
    return this.#codec === float32 && this.#residual === null;
  }

  bytes(length: number): number {
    return this.#codec.bytes(length);
  }

  /**
   * @param values the vector, or the part of it that starts at `from`
   * @param payload of bytes(values.length) bytes, 4-byte aligned
   */
  encode(values: Float32Array, payload: Uint8Array, from = 0): void {
    if (this.#codec.lossy) this.#residual ??= new Float32Array(this.#length);
    if (this.#residual === null) this.#codec.encode(values, payload);
    else this.#codec.encodeWithResidual(values, this.#residual.subarray(from, from + values.length), payload);
  }
}
