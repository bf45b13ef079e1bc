import { codecKernels } from '../../shared/codec/kernels/simd.ts';
import { PairwiseSum } from '../../shared/model/pairwise-sum.ts';
import type { Range } from '../../shared/util/range.ts';
import { microShardCount } from './aligned-blocks.ts';
import type { GradientSum } from './gradient-sum.ts';

/** Sums the gradients of a batch's blocks with PairwiseSum, in vectors that are used again. */
export class PairwiseReducer implements GradientSum {
  readonly #total: Float32Array;
  readonly #microShardSize: number;
  readonly #sum: PairwiseSum<Float32Array>;
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
    this.#microShardSize = microShardSize;
    const microShards = microShardCount({ from: 0, to: samples }, microShardSize);
    this.#sum = new PairwiseSum((left, right) => this.#addPair(left, right), microShards);
    this.#freeBuffers = buffers;
    this.#ownBuffers = new Set(buffers);
  }

  add({ from, to }: Range, gradient: Float32Array): Range[] {
    const size = this.#microShardSize;
    const sum = this.#sum.add({ from: from / size, to: Math.ceil(to / size) }, gradient);
    if (sum === null) return [];
    this.#total.set(sum);
    this.#releaseBuffer(sum);
    return [{ from: 0, to: this.#total.length }];
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
