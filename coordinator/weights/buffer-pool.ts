/** Buffers that a round decodes gradients into and the next round reuses, which saves megabytes of garbage each step. */
export class BufferPool {
  /** Free buffers by length. */
  #free = new Map<number, Float32Array[]>();
  #acquired: Float32Array[] = [];

  /** @returns a vector of this length with arbitrary values; not acquired again before `releaseAll` */
  acquire(length: number): Float32Array {
    const buffer = this.#free.get(length)?.pop() ?? new Float32Array(length);
    this.#acquired.push(buffer);
    return buffer;
  }

  /** Frees all buffers that were acquired since the last call, and drops buffers that were not. */
  releaseAll(): void {
    this.#free = new Map();
    for (const buffer of this.#acquired) {
      const sameLength = this.#free.get(buffer.length);
      if (sameLength === undefined) this.#free.set(buffer.length, [buffer]);
      else sameLength.push(buffer);
    }
    this.#acquired = [];
  }
}
