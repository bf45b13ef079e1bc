import type { Codec } from '../codec/codec.ts';
import { codecKernels } from '../codec/kernels/simd.ts';
import { CloseCode, ProtocolError } from '../protocol/close-code.ts';
import type { ReceivedUpdate } from './received-weights.ts';

/** The weights of a worker that gets updates: the same bits as in the coordinator and every other worker. */
export class HeldWeights {
  readonly #codec: Codec;
  readonly #decoded: Float32Array;
  #values: Float32Array;
  /** Room for the weights of the next step: an engine may still look at the last ones. */
  #next: Float32Array;

  /** @param length of the flat vector */
  constructor(codec: Codec, length: number) {
    this.#codec = codec;
    this.#decoded = new Float32Array(length);
    this.#values = new Float32Array(length);
    this.#next = new Float32Array(length);
  }

  /** @param weights the flat vector, or the part of it that starts at `from`; copied */
  set(weights: Float32Array, from = 0): void {
    this.#values.set(weights, from);
  }

  /**
   * @returns the weights of the update's step; must not be changed
   * @throws ProtocolError (wrongLength, malformed)
   */
  apply({ pieces }: ReceivedUpdate): Float32Array {
    const [old, next] = [this.#values, this.#next];
    let end = old.length;
    for (const { from, payload } of pieces) {
      if (from >= end) {
        throw new ProtocolError(CloseCode.malformed, `An update from ${from} of ${end} values.`);
      }
      const length = end - from;
      const added = this.#codec.decode(payload, length, this.#decoded.subarray(0, length));
      codecKernels.add(old.subarray(from, end), added, next.subarray(from, end));
      end = from;
    }
    this.#values = next;
    this.#next = old;
    return next;
  }
}
