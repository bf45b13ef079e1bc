import { sizeOf } from '../../../shared/model/layout.ts';
import { PairwiseSum } from '../../../shared/model/pairwise-sum.ts';
import type { Binding, TensorHandle } from './backend.ts';

/** Tensors of float32 in TensorFlow that tfjs does not know; their owner disposes of them. */
export class NativeTensors {
  readonly #binding: Binding;
  #handles: readonly TensorHandle[];

  constructor(binding: Binding, handles: readonly TensorHandle[]) {
    this.#binding = binding;
    this.#handles = handles;
  }

  /** @param shapes shapes of the tensors; each is filled from the start of `values` */
  static of(binding: Binding, values: Float32Array, shapes: readonly (readonly number[])[]): NativeTensors {
    const dtype = binding.TF_FLOAT;
    const handles = shapes.map((sides) => {
      const shape = [...sides];
      return { id: binding.createTensor(shape, dtype, values.slice(0, sizeOf(shape))), shape, dtype };
    });
    return new NativeTensors(binding, handles);
  }

  /** Ids of the first `count` tensors in the addon. */
  ids(count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.#id(i));
  }

  /**
   * Copies the values of a tensor.
   * @throws Error if there is no such tensor, or it was disposed of
   */
  read(index: number): Float32Array {
    return this.#binding.tensorDataSync(this.#id(index)) as Float32Array;
  }

  /** Adds the first `count` tensors to others with TensorFlow. The caller disposes of the sums. */
  add(others: NativeTensors, count: number): NativeTensors {
    const binding = this.#binding;
    const type = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
    const sums = Array.from({ length: count }, (_, i) =>
      binding.executeOp('AddV2', [type], [this.#id(i), others.#id(i)], 1),
    );
    return new NativeTensors(binding, sums.flat());
  }

  dispose(): void {
    for (const { id } of this.#handles) this.#binding.deleteTensor(id);
    this.#handles = [];
  }

  #id(index: number): number {
    const handle = this.#handles[index];
    if (handle === undefined) throw new Error('There is no such tensor.');
    return handle.id;
  }
}

/** Adds tensors inside TensorFlow, in the order of PairwiseSum, and disposes of them. */
export class NativePairwiseSum {
  readonly #owned = new Set<NativeTensors>();
  readonly #alreadyAdded = new Set<NativeTensors>();
  readonly #pairwiseSum: PairwiseSum<NativeTensors>;
  #pendingLeft: NativeTensors | null = null;

  /** @param count number of tensors that are added: the first ones */
  constructor(count: number) {
    this.#pairwiseSum = new PairwiseSum((left, right) => {
      if (this.#alreadyAdded.delete(right)) {
        this.#release(left);
        return right;
      }
      const sum = left.add(right, count);
      this.#owned.add(sum);
      this.#release(left);
      this.#release(right);
      return sum;
    });
  }

  /** Tensors to which the next ones will be added directly, or null. */
  get pendingLeft(): NativeTensors | null {
    return this.#pendingLeft;
  }

  /** @param isAdded whether the tensors are the sum with `pendingLeft` already */
  push(tensors: NativeTensors, isAdded = false): void {
    this.#owned.add(tensors);
    if (isAdded) this.#alreadyAdded.add(tensors);
    this.#pendingLeft = this.#pendingLeft === null ? tensors : null;
    this.#pairwiseSum.push(tensors);
  }

  /**
   * @returns the sum, valid until dispose()
   * @throws Error if nothing was pushed
   */
  total(): NativeTensors {
    return this.#pairwiseSum.total();
  }

  dispose(): void {
    for (const tensors of this.#owned) tensors.dispose();
    this.#owned.clear();
  }

  #release(tensors: NativeTensors): void {
    tensors.dispose();
    this.#owned.delete(tensors);
  }
}
