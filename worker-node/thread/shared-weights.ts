/**
 * Copies of the weights in memory that two threads see. The engine may look at one until others were set and computed
 * with; only then is it written again.
 */
export class SharedWeights {
  readonly #length: number;
  /** Those that the engine may still look at, in the order in which they were set. */
  #set: Float32Array[] = [];
  readonly #free: Float32Array[] = [];

  /** @param length of the flat vector */
  constructor(length: number) {
    this.#length = length;
  }

  /** @returns a copy in shared memory */
  share(weights: Float32Array): Float32Array {
    const copy = this.#free.pop() ?? sharedFloats(this.#length);
    copy.set(weights);
    this.#set.push(copy);
    return copy;
  }

  /** Something was computed: with the last ones that were set before it began. */
  computed(): void {
    this.#free.push(...this.#set.splice(0, this.#set.length - 1));
  }
}

/** @returns zeros in memory that two threads see */
export function sharedFloats(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
}
