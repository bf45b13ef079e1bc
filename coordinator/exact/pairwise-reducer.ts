import { codecKernels } from '../../shared/codec/kernels/simd.ts';
import type { OnBucketSummed } from '../training/gradient-sum.ts';
import type { Range } from '../../shared/util/range.ts';
import { microShardCount } from './aligned-blocks.ts';

/**
 * Adds the gradients of a batch's nodes along the tree of TreeSum, whoever answers first: two halves of a node are added
 * as soon as both are there.
 */
export class PairwiseReducer {
  readonly #total: Float32Array;
  readonly #batch: Range;
  readonly #microShardSize: number;
  readonly #onBucketSummed: OnBucketSummed;
  /** Sums of nodes whose other half is missing, by where they start. */
  readonly #pendingBlocks = new Map<number, { readonly to: number; readonly sum: Float32Array }>();
  /** Vectors that were made here, and so may be written over. */
  readonly #ownBuffers: Set<Float32Array>;
  readonly #freeBuffers: Float32Array[];

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
    { unit, room, onSummed }: { unit: number; room: Float32Array[]; onSummed: OnBucketSummed },
  ) {
    this.#total = total;
    this.#batch = { from: 0, to: samples };
    this.#microShardSize = unit;
    this.#onBucketSummed = onSummed;
    this.#freeBuffers = room;
    this.#ownBuffers = new Set(room);
  }

  /** @param gradient the sum over a node's samples; must not change any more */
  add(node: Range, gradient: Float32Array): void {
    let [{ from, to }, sum] = [node, gradient];
    // Where no power of two of leaves is left at the end, a node is its own parent until it is a right half.
    for (let width = this.#fullWidth(node); from !== 0 || to !== this.#batch.to; width *= 2) {
      const isRight = (from / width) % 2 === 1;
      const sibling = isRight ? from - width : from + width;
      if (sibling >= this.#batch.to) continue;
      const other = this.#pendingBlocks.get(sibling);
      const fits = isRight ? other?.to === from : other?.to === Math.min(sibling + width, this.#batch.to);
      if (other === undefined || !fits) {
        this.#pendingBlocks.set(from, { to, sum });
        return;
      }
      this.#pendingBlocks.delete(sibling);
      sum = isRight ? this.#addPair(other.sum, sum) : this.#addPair(sum, other.sum);
      [from, to] = isRight ? [sibling, to] : [from, other.to];
    }
    this.#total.set(sum);
    this.#releaseBuffer(sum);
    this.#onBucketSummed({ from: 0, to: this.#total.length });
  }

  /** In samples, as if nothing of the node had been cut off at the batch's end. */
  #fullWidth(node: Range): number {
    return 2 ** Math.ceil(Math.log2(microShardCount(node, this.#microShardSize))) * this.#microShardSize;
  }

  #addPair(left: Float32Array, right: Float32Array): Float32Array {
    const room = [left, right].find((vector) => this.#ownBuffers.has(vector)) ?? this.#acquireBuffer();
    codecKernels.addFlushToZero(left, right, room);
    for (const vector of [left, right]) if (vector !== room) this.#releaseBuffer(vector);
    return room;
  }

  #acquireBuffer(): Float32Array {
    const room = this.#freeBuffers.pop() ?? new Float32Array(this.#total.length);
    this.#ownBuffers.add(room);
    return room;
  }

  #releaseBuffer(vector: Float32Array): void {
    if (this.#ownBuffers.has(vector)) this.#freeBuffers.push(vector);
  }
}
