import type { Codec } from './codec.ts';
import { float32 } from './float32.ts';

/**
 * Encoder of a sequence of vectors with error feedback: the encoding error of one vector is added to the next, so that only
 * the error of the last vector is missing from the sum of the decoded vectors (Seide et al., "1-bit stochastic gradient
 * descent", Interspeech 2014).
 */
export class ErrorFeedbackEncoder {
  readonly #length: number;
  #codec: Codec;
  /** Encoding error that the next vector makes up for; null until a lossy codec is used. */
  #residual: Float32Array | null = null;

  /** @param length of the vectors */
  constructor(codec: Codec, length: number) {
    this.#codec = codec;
    this.#length = length;
  }

  /** Changes the codec of the following vectors and keeps the residual. */
  setCodec(codec: Codec): void {
    this.#codec = codec;
  }

  /** Whether a payload consists of the unchanged values. */
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
