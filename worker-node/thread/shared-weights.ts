/**
 * Copies of weights in memory that two threads see. The engine may look at one until others were set in its place and
 * computed with; only then is it written again.
 */
export class SharedWeightsPool {
  /** By place and length: a whole vector, its head, its tail. */
  readonly #slots = new Map<string, { set: Float32Array[]; readonly free: Float32Array[] }>();

  /**
   * @param from where in the flat vector they belong
   * @returns a copy in shared memory
   */
  copy(weights: Float32Array, from: number): Float32Array {
    const key = `${from} ${weights.length}`;
    const place = this.#slots.get(key) ?? { set: [], free: [] };
    this.#slots.set(key, place);
    const copy = place.free.pop() ?? allocateShared(weights.length);
    copy.set(weights);
    place.set.push(copy);
    return copy;
  }

  /** Something was computed: with the last ones that were set before it began. */
  releaseOlder(): void {
    for (const { set, free } of this.#slots.values()) free.push(...set.splice(0, set.length - 1));
  }
}

/** @returns zeros in memory that two threads see */
export function allocateShared(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
}
