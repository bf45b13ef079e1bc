import { RESERVED_HEADER_BYTES } from '../../protocol/frame.ts';
import { isTransferable } from './messages.ts';

/** Allocates memory that the client's and the engine's thread both see. */
export type AllocateShared = (bytes: number) => SharedArrayBuffer;

/** Size of libuv's read buffer. */
const MAX_READ_BYTES = 64 << 10;

/** Weights as they are posted. */
export interface PostedWeights {
  readonly weights: Float32Array;
  readonly transfer: ArrayBuffer[];
}

/** Chooses how the weights of one job reach the engine's thread: transferred, or copied into shared memory where there is any. */
export class WeightsChannel {
  readonly #pool: SharedWeightsPool | null;

  constructor(allocateShared: AllocateShared | null) {
    this.#pool = allocateShared === null ? null : new SharedWeightsPool(allocateShared);
  }

  /** @param transferOwnership the caller does not need the memory of `weights` any more */
  pack(weights: Float32Array, transferOwnership: boolean): PostedWeights {
    if (transferOwnership && ownsBuffer(weights)) return { weights, transfer: [weights.buffer] };
    if (this.#pool !== null) return { weights: this.#pool.copy(weights), transfer: [] };
    const copy = weights.slice();
    return { weights: copy, transfer: [copy.buffer] };
  }

  /** Reports that the engine has computed with the last weights that were set before. */
  releaseOlder(): void {
    this.#pool?.releaseOlder();
  }
}

/**
 * Copies of weights in memory that both threads see. An engine may read a copy lazily, until other weights were set and
 * used; the pool reuses it only then.
 */
export class SharedWeightsPool {
  readonly #allocateShared: AllocateShared;
  /** Copies that the engine may still read, the last one set at the end. */
  readonly #used: Float32Array[] = [];
  readonly #free: Float32Array[] = [];

  constructor(allocateShared: AllocateShared) {
    this.#allocateShared = allocateShared;
  }

  /**
   * @param weights always of the same length
   * @returns a copy in shared memory
   */
  copy(weights: Float32Array): Float32Array {
    const copy = this.#free.pop() ?? new Float32Array(this.#allocateShared(weights.byteLength));
    copy.set(weights);
    this.#used.push(copy);
    return copy;
  }

  /** Reports that the engine has computed with the last weights that were set before. */
  releaseOlder(): void {
    this.#free.push(...this.#used.splice(0, this.#used.length - 1));
  }
}

/**
 * Whether an array has a buffer to itself, apart from the header of its own message in front, so that the buffer can be
 * transferred. ws copies a message that is larger than one read from the socket into a buffer of its own; smaller ones are
 * views of a buffer that several messages share.
 */
const ownsBuffer = (values: Float32Array): values is Float32Array<ArrayBuffer> =>
  isTransferable(values) &&
  values.byteLength > MAX_READ_BYTES &&
  values.byteOffset <= RESERVED_HEADER_BYTES &&
  values.byteOffset + values.byteLength === values.buffer.byteLength;
