import { sizeOf } from '../../../shared/model/layout.ts';
import { PairwiseSum } from '../../../shared/model/pairwise-sum.ts';
import type { Binding, TensorHandle } from './backend.ts';

/** Tensors of float32 that lie in TensorFlow, unknown to tfjs: whoever has them disposes of them. */
export class NativeTensors {
  readonly #binding: Binding;
  #handles: readonly TensorHandle[];

  constructor(binding: Binding, handles: readonly TensorHandle[]) {
    this.#binding = binding;
    this.#handles = handles;
  }

  /** @param shapes of the tensors; each has the first of the values that fit */
  static of(binding: Binding, values: Float32Array, shapes: readonly (readonly number[])[]): NativeTensors {
    const dtype = binding.TF_FLOAT;
    const handles = shapes.map((sides) => {
      const shape = [...sides];
      return { id: binding.createTensor(shape, dtype, values.slice(0, sizeOf(shape))), shape, dtype };
    });
    return new NativeTensors(binding, handles);
  }

  /** What the addon calls the first `count` of them. */
  ids(count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.#id(i));
  }

  /** A copy of one's values. @throws Error if it is not held (any more) */
  read(index: number): Float32Array {
    return this.#binding.tensorDataSync(this.#id(index)) as Float32Array;
  }

  /** The sums of the first `count` of these and of others, one by one, as TensorFlow adds; the caller's to dispose. */
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
    if (handle === undefined) throw new Error('This tensor is not held.');
    return handle.id;
  }
}

/** A sum along the tree of TreeSum that does not leave TensorFlow. What is pushed is disposed of here. */
export class NativePairwiseSum {
  readonly #owned = new Set<NativeTensors>();
  readonly #alreadyAdded = new Set<NativeTensors>();
  readonly #pairwiseSum: PairwiseSum<NativeTensors>;
  #pendingLeft: NativeTensors | null = null;

  /** @param count how many tensors of each that is pushed are added: the first ones */
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

  /** What the tree adds the next one to before anything else; null if that comes behind the next one. */
  get pendingLeft(): NativeTensors | null {
    return this.#pendingLeft;
  }

  /** @param withLeft that it has been added to `left` already */
  push(tensors: NativeTensors, withLeft = false): void {
    this.#owned.add(tensors);
    if (withLeft) this.#alreadyAdded.add(tensors);
    this.#pendingLeft = this.#pendingLeft === null ? tensors : null;
    this.#pairwiseSum.push(tensors);
  }

  /** The sum of all that was pushed, good until dispose(). @throws Error if nothing was */
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
