import type { Range } from '../util/range.ts';

// The binary tree of a pairwise sum over `leaves` micro-shards. Float addition is not associative, so the tree is part of the
// result. Nodes at height h are the aligned ranges of 2^h leaves, cut off at the end. A node's sum is that of its left child
// plus that of its right child, or the left child's alone if the right one is empty. Ranges count leaves.

/** Leaves of the node that would hold a range if nothing were cut off: the smallest power of two that is large enough. */
const fullWidth = ({ from, to }: Range): number => 2 ** (32 - Math.clz32(to - from - 1));

/** Left and right child of a node, or null for a leaf. */
export function childrenOf(node: Range): [left: Range, right: Range] | null {
  const { from, to } = node;
  if (to - from <= 1) return null;
  const middle = from + fullWidth(node) / 2;
  return [
    { from, to: middle },
    { from: middle, to },
  ];
}

/**
 * Node that is added to a node, which lies right before or right after it; null for the root.
 * @param leaves of the tree; Infinity if more leaves follow and their number is unknown
 */
export function siblingOf(node: Range, leaves: number): Range | null {
  const { from, to } = node;
  // A node without a right sibling is its own parent.
  for (let width = fullWidth(node); from > 0 || to < leaves; width *= 2) {
    if ((from / width) % 2 === 1) return { from: from - width, to: from };
    if (from + width < leaves) return { from: from + width, to: Math.min(from + 2 * width, leaves) };
  }
  return null;
}

/** Sum over the micro-shards of a batch along the tree above, whatever the order in which the nodes arrive. */
export class PairwiseSum<T> {
  readonly #add: (left: T, right: T) => T;
  /** Infinity until total(), if the caller does not know it in advance. */
  #leaves: number;
  /** End of the last pushed node. */
  #end = 0;
  /** Sums of nodes that wait for their sibling, by the node's first leaf. */
  readonly #pending = new Map<number, { readonly to: number; readonly sum: T }>();

  /**
   * @param add may store the sum in `left`
   * @param leaves of the tree; only add() needs them in advance
   */
  constructor(add: (left: T, right: T) => T, leaves = Infinity) {
    this.#add = add;
    this.#leaves = leaves;
  }

  /**
   * Adds the sum of a node. Nodes may come in any order, each leaf once.
   * @returns the sum of all leaves when this node was the last, otherwise null
   */
  add(node: Range, value: T): T | null {
    let { from, to } = node;
    let sum = value;
    for (;;) {
      const sibling = siblingOf({ from, to }, this.#leaves);
      if (sibling === null) return sum;
      const other = this.#pending.get(sibling.from);
      if (other?.to !== sibling.to) {
        this.#pending.set(from, { to, sum });
        return null;
      }
      this.#pending.delete(sibling.from);
      const isRight = sibling.to === from;
      sum = isRight ? this.#add(other.sum, sum) : this.#add(sum, other.sum);
      from = Math.min(from, sibling.from);
      to = Math.max(to, sibling.to);
    }
  }

  /**
   * Adds the sum of the node that follows the nodes pushed before.
   * @param leaves of the node; the last node may be cut off
   */
  push(value: T, leaves = 1): void {
    const from = this.#end;
    this.#end += leaves;
    this.add({ from, to: this.#end }, value);
  }

  /** Sum of all pushed nodes; nothing may be pushed afterwards. @throws Error if nothing was pushed */
  total(): T {
    this.#leaves = this.#end;
    for (const [from, { to, sum }] of this.#pending) {
      if (to !== this.#end) continue;
      this.#pending.delete(from);
      const total = this.add({ from, to }, sum);
      if (total !== null) return total;
    }
    throw new Error('A sum of no values has no total.');
  }
}
