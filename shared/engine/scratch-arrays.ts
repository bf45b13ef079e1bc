/**
 * Arrays that are filled anew in every step: tf copies them when it computes, and megabytes of garbage a step would keep
 * the garbage collector busy. One array a purpose, replaced when another length is asked for.
 */
export class ScratchArrays {
  readonly #arrays = new Map<string, Float32Array>();

  /** @returns `length` values of any content, free to be overwritten until the purpose's next taking */
  get(purpose: string, length: number): Float32Array {
    const held = this.#arrays.get(purpose);
    if (held?.length === length) return held;
    const fresh = new Float32Array(length);
    this.#arrays.set(purpose, fresh);
    return fresh;
  }
}
