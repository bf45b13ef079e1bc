/** Vectors that a round decodes into and the next one again: else each step would leave megabytes to the garbage collector. */
export class BufferPool {
  /** By length. */
  #free = new Map<number, Float32Array[]>();
  #acquired: Float32Array[] = [];

  /** @returns a vector of this length, with anything in it; whoever has it has it alone until all are given back */
  acquire(length: number): Float32Array {
    const room = this.#free.get(length)?.pop() ?? new Float32Array(length);
    this.#acquired.push(room);
    return room;
  }

  /** Gives back all that were taken since the last time, and lets go of those that nobody took. */
  releaseAll(): void {
    this.#free = new Map();
    for (const room of this.#acquired) {
      const alike = this.#free.get(room.length);
      if (alike === undefined) this.#free.set(room.length, [room]);
      else alike.push(room);
    }
    this.#acquired = [];
  }
}
