/** Values of which the smallest is at hand. */
export class MinHeap<Value> {
  readonly #values: Value[] = [];
  readonly #isLess: (a: Value, b: Value) => boolean;

  constructor(isLess: (a: Value, b: Value) => boolean) {
    this.#isLess = isLess;
  }

  get size(): number {
    return this.#values.length;
  }

  push(value: Value): void {
    const values = this.#values;
    let at = values.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = values[parent] as Value;
      if (!this.#isLess(value, above)) break;
      values[at] = above;
      at = parent;
    }
    values[at] = value;
  }

  /** Removes the smallest value. @returns undefined if there is none */
  pop(): Value | undefined {
    const values = this.#values;
    const [smallest] = values;
    const last = values.pop();
    if (last === undefined || values.length === 0) return smallest;
    let at = 0;
    for (let child = 1; child < values.length; child = 2 * at + 1) {
      const right = values[child + 1];
      if (right !== undefined && this.#isLess(right, values[child] as Value)) child++;
      const below = values[child] as Value;
      if (!this.#isLess(below, last)) break;
      values[at] = below;
      at = child;
    }
    values[at] = last;
    return smallest;
  }
}
