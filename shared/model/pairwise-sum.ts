/**
 * A sum over the micro-shards of a batch, along one fixed binary tree: float addition is not associative, so the order is
 * part of the result. The tree's nodes at height h are the aligned runs of 2^h micro-shards, cut off at the batch's end;
 * a node's sum is that of its left half plus that of its right one, or its left half's alone if the right one is empty.
 */
export class PairwiseSum<T> {
  readonly #add: (left: T, right: T) => T;
  /** Sums of nodes, from left to right, each larger than the next. */
  readonly #nodes: { readonly leaves: number; readonly value: T }[] = [];

  /** @param add may put the sum in the place of `left` */
  constructor(add: (left: T, right: T) => T) {
    this.#add = add;
  }

  /**
   * Takes the sum of the node that follows those before.
   * @param leaves the micro-shards of the node; those of the last one may have been cut off
   */
  push(value: T, leaves = 1): void {
    this.#nodes.push({ leaves, value });
    while (this.#nodes.length > 1 && this.#nodes.at(-2)?.leaves === this.#nodes.at(-1)?.leaves) this.#merge();
  }

  /** The sum of all that was pushed; nothing may be pushed after that. @throws Error if nothing was */
  total(): T {
    while (this.#nodes.length > 1) this.#merge();
    const [root] = this.#nodes;
    if (root === undefined) throw new Error('The sum of nothing.');
    return root.value;
  }

  #merge(): void {
    const right = this.#nodes.pop();
    const left = this.#nodes.pop();
    if (left === undefined || right === undefined) return;
    this.#nodes.push({ leaves: left.leaves + right.leaves, value: this.#add(left.value, right.value) });
  }
}
