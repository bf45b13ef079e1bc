import { CloseCode, ProtocolError } from '../protocol/close-codes.ts';
import type { Codec } from './codec.ts';

/** A bucket of an update: it ends where the bucket before it begins. */
export interface UpdateBucket {
  readonly offset: number;
  readonly codec: Codec;
  readonly payload: Uint8Array;
}

/** Weights that follow updates: the same bits in the coordinator and in every worker. */
export class WeightsReplica {
  readonly #length: number;
  #weights: Float32Array | null = null;
  /** Two vectors used by turns: an engine may still read the last one. */
  #buffers: [Float32Array, Float32Array] | null = null;

  /** @param length values of the flat vector */
  constructor(length: number) {
    this.#length = length;
  }

  /** Flat vector; zeros before the first weights. Read only. */
  get weights(): Float32Array {
    return this.#weights ?? this.#otherBuffer();
  }

  /** Starts from a vector that does not change any more. */
  set(weights: Float32Array): void {
    this.#weights = weights;
  }

  /** Starts from a copy of a vector. */
  copy(weights: Float32Array): void {
    const buffer = this.#otherBuffer();
    buffer.set(weights);
    this.#weights = buffer;
  }

  /**
   * Adds an update.
   * @param buckets back to front, the last one with offset 0
   * @returns the new weights; the vector before stays as it is until the next update
   * @throws ProtocolError (wrongLength, malformed)
   */
  applyUpdate(buckets: readonly UpdateBucket[]): Float32Array {
    const old = this.weights;
    const next = this.#otherBuffer();
    let end = this.#length;
    for (const { offset, codec, payload } of buckets) {
      if (offset >= end) {
        throw new ProtocolError(CloseCode.malformed, `A bucket from ${offset} of ${end} values.`);
      }
      codec.decodeOnto(payload, old.subarray(offset, end), next.subarray(offset, end));
      end = offset;
    }
    if (end > 0) throw new ProtocolError(CloseCode.malformed, `An update without its first ${end} values.`);
    this.#weights = next;
    return next;
  }

  #otherBuffer(): Float32Array {
    this.#buffers ??= [new Float32Array(this.#length), new Float32Array(this.#length)];
    const [a, b] = this.#buffers;
    return this.#weights === a ? b : a;
  }
}
