import { sizeOf } from '../../../shared/model/layout.ts';
import { TreeSum } from '../../../shared/model/sum-tree.ts';
import type { Binding, TensorHandle } from './backend.ts';

/** Tensors of float32 that lie in TensorFlow, unknown to tfjs: whoever has them disposes of them. */
export class HeldTensors {
  readonly #binding: Binding;
  #handles: readonly TensorHandle[];

  constructor(binding: Binding, handles: readonly TensorHandle[]) {
    this.#binding = binding;
    this.#handles = handles;
  }

  /** @param shapes of the tensors; each has the first of the values that fit */
  static of(binding: Binding, values: Float32Array, shapes: readonly (readonly number[])[]): HeldTensors {
    const dtype = binding.TF_FLOAT;
    const handles = shapes.map((sides) => {
      const shape = [...sides];
      return { id: binding.createTensor(shape, dtype, values.slice(0, sizeOf(shape))), shape, dtype };
    });
    return new HeldTensors(binding, handles);
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
  plus(others: HeldTensors, count: number): HeldTensors {
    const binding = this.#binding;
    const type = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
    const sums = Array.from({ length: count }, (_, i) =>
      binding.executeOp('AddV2', [type], [this.#id(i), others.#id(i)], 1),
    );
    return new HeldTensors(binding, sums.flat());
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
export class HeldSum {
  readonly #held = new Set<HeldTensors>();
  readonly #withLeft = new Set<HeldTensors>();
  readonly #tree: TreeSum<HeldTensors>;
  #left: HeldTensors | null = null;

  /** @param count how many tensors of each that is pushed are added: the first ones */
  constructor(count: number) {
    this.#tree = new TreeSum((left, right) => {
      if (this.#withLeft.delete(right)) {
        this.#drop(left);
        return right;
      }
      const sum = left.plus(right, count);
      this.#held.add(sum);
      this.#drop(left);
      this.#drop(right);
      return sum;
    });
  }

  /** What the tree adds the next one to before anything else; null if that comes behind the next one. */
  get left(): HeldTensors | null {
    return this.#left;
  }

  /** @param withLeft that it has been added to `left` already */
  push(tensors: HeldTensors, withLeft = false): void {
    this.#held.add(tensors);
    if (withLeft) this.#withLeft.add(tensors);
    this.#left = this.#left === null ? tensors : null;
    this.#tree.push(tensors);
  }

  /** The sum of all that was pushed, good until dispose(). @throws Error if nothing was */
  total(): HeldTensors {
    return this.#tree.total();
  }

  dispose(): void {
    for (const tensors of this.#held) tensors.dispose();
    this.#held.clear();
  }

  #drop(tensors: HeldTensors): void {
    tensors.dispose();
    this.#held.delete(tensors);
  }
}
