import { codecKernels } from '../../../shared/codec/kernels/simd.ts';
import type { OnSummed } from '../batch-gradient.ts';
import type { Range } from '../../../shared/range.ts';
import { leavesOf } from './subtrees.ts';

/**
 * Adds the gradients of a batch's nodes along the tree of TreeSum, whoever answers first: two halves of a node are added
 * as soon as both are there.
 */
export class GradientTree {
  readonly #total: Float32Array;
  readonly #batch: Range;
  readonly #unit: number;
  readonly #onSummed: OnSummed;
  /** Sums of nodes whose other half is missing, by where they start. */
  readonly #nodes = new Map<number, { readonly to: number; readonly sum: Float32Array }>();
  /** Vectors that were made here, and so may be written over. */
  readonly #own: Set<Float32Array>;
  readonly #free: Float32Array[];

  /**
   * @param total room for the sum, overwritten
   * @param samples in the batch
   * @param unit samples of a micro-shard
   * @param room vectors of sums before, which may be used again
   * @param onSummed called once, when the sum is complete
   */
  constructor(
    total: Float32Array,
    samples: number,
    { unit, room, onSummed }: { unit: number; room: Float32Array[]; onSummed: OnSummed },
  ) {
    this.#total = total;
    this.#batch = { from: 0, to: samples };
    this.#unit = unit;
    this.#onSummed = onSummed;
    this.#free = room;
    this.#own = new Set(room);
  }

  /** @param gradient the sum over a node's samples; must not change any more */
  add(node: Range, gradient: Float32Array): void {
    let [{ from, to }, sum] = [node, gradient];
    // Where no power of two of leaves is left at the end, a node is its own parent until it is a right half.
    for (let width = this.#widthOf(node); from !== 0 || to !== this.#batch.to; width *= 2) {
      const isRight = (from / width) % 2 === 1;
      const sibling = isRight ? from - width : from + width;
      if (sibling >= this.#batch.to) continue;
      const other = this.#nodes.get(sibling);
      const fits = isRight ? other?.to === from : other?.to === Math.min(sibling + width, this.#batch.to);
      if (other === undefined || !fits) {
        this.#nodes.set(from, { to, sum });
        return;
      }
      this.#nodes.delete(sibling);
      sum = isRight ? this.#sumOf(other.sum, sum) : this.#sumOf(sum, other.sum);
      [from, to] = isRight ? [sibling, to] : [from, other.to];
    }
    this.#total.set(sum);
    this.#release(sum);
    this.#onSummed({ from: 0, to: this.#total.length });
  }

  /** In samples, as if nothing of the node had been cut off at the batch's end. */
  #widthOf(node: Range): number {
    return 2 ** Math.ceil(Math.log2(leavesOf(node, this.#unit))) * this.#unit;
  }

  #sumOf(left: Float32Array, right: Float32Array): Float32Array {
    const room = [left, right].find((vector) => this.#own.has(vector)) ?? this.#take();
    codecKernels.addFlushed(left, right, room);
    for (const vector of [left, right]) if (vector !== room) this.#release(vector);
    return room;
  }

  #take(): Float32Array {
    const room = this.#free.pop() ?? new Float32Array(this.#total.length);
    this.#own.add(room);
    return room;
  }

  #release(vector: Float32Array): void {
    if (this.#own.has(vector)) this.#free.push(vector);
  }
}
