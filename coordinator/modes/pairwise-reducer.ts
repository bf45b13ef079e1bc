import { codecKernels } from '../../shared/codec/kernels/simd.ts';
import type { Range } from '../../shared/util/range.ts';
import { microShardCount } from './aligned-blocks.ts';
import type { GradientSum } from './gradient-sum.ts';

/**
 * Adds the gradients of a batch's blocks along the tree of PairwiseSum, whichever worker answers first: the two halves of a block
 * are added as soon as both have come.
 */
export class PairwiseReducer implements GradientSum {
  readonly #total: Float32Array;
  readonly #samples: number;
  readonly #microShardSize: number;
  /** Sums of blocks whose other half is missing, by their first sample. */
  readonly #pendingBlocks = new Map<number, { readonly to: number; readonly sum: Float32Array }>();
  /** Vectors of this reducer, which may be written over. */
  readonly #ownBuffers: Set<Float32Array>;
  readonly #freeBuffers: Float32Array[];

  /**
   * @param total vector for the sum, overwritten
   * @param samples samples of the batch
   * @param buffers vectors of earlier sums, used again
   */
  constructor(total: Float32Array, samples: number, microShardSize: number, buffers: Float32Array[]) {
    this.#total = total;
    this.#samples = samples;
    this.#microShardSize = microShardSize;
    this.#freeBuffers = buffers;
    this.#ownBuffers = new Set(buffers);
  }

  add(block: Range, gradient: Float32Array): Range[] {
    let { from, to } = block;
    let sum = gradient;
    // At the batch's end, where less than a power of two of micro-shards is left, a block is its own parent until it is a right
    // half.
    for (let width = this.#fullWidth(block); from !== 0 || to !== this.#samples; width *= 2) {
      const isRight = (from / width) % 2 === 1;
      const sibling = isRight ? from - width : from + width;
      if (sibling >= this.#samples) continue;
      const other = this.#pendingBlocks.get(sibling);
      const fits = isRight ? other?.to === from : other?.to === Math.min(sibling + width, this.#samples);
      if (other === undefined || !fits) {
        this.#pendingBlocks.set(from, { to, sum });
        return [];
      }
      this.#pendingBlocks.delete(sibling);
      sum = isRight ? this.#addPair(other.sum, sum) : this.#addPair(sum, other.sum);
      if (isRight) from = sibling;
      else to = other.to;
    }
    this.#total.set(sum);
    this.#releaseBuffer(sum);
    return [{ from: 0, to: this.#total.length }];
  }

  /** Samples of the block if nothing of it had been cut off at the batch's end. */
  #fullWidth(block: Range): number {
    return 2 ** Math.ceil(Math.log2(microShardCount(block, this.#microShardSize))) * this.#microShardSize;
  }

  #addPair(left: Float32Array, right: Float32Array): Float32Array {
    const sum = [left, right].find((vector) => this.#ownBuffers.has(vector)) ?? this.#acquireBuffer();
    codecKernels.addFlushToZero(left, right, sum);
    for (const vector of [left, right]) if (vector !== sum) this.#releaseBuffer(vector);
    return sum;
  }

  #acquireBuffer(): Float32Array {
    const buffer = this.#freeBuffers.pop() ?? new Float32Array(this.#total.length);
    this.#ownBuffers.add(buffer);
    return buffer;
  }

  #releaseBuffer(vector: Float32Array): void {
    if (this.#ownBuffers.has(vector)) this.#freeBuffers.push(vector);
  }
}
