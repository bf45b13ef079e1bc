import { codecKernels } from '../../../shared/codec/kernels/simd.ts';
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
  readonly #tree: TreeSum<HeldTensors>;

  /** @param count how many tensors of each that is pushed are added: the first ones */
  constructor(count: number) {
    this.#tree = new TreeSum((left, right) => {
      const sum = left.plus(right, count);
      this.#held.add(sum);
      for (const half of [left, right]) {
        half.dispose();
        this.#held.delete(half);
      }
      return sum;
    });
  }

  push(tensors: HeldTensors): void {
    this.#held.add(tensors);
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
}

/** Pairs of these tell a sum that flushes subnormal values from one that does not, and show how it rounds. */
const TELLING = [0, -0, 1e-39, -1e-39, 1.5e-38, -1.2e-38, 2 ** -126, 1, -1 - 2 ** -23, 2 ** -24, 1e30, -3e38];

/** Whether TensorFlow gives the bits of addFlushed, tried in every place of tensors of these shapes. */
export function addsAsDefined(binding: Binding, shapes: readonly (readonly number[])[]): boolean {
  const every = TELLING.length;
  return shapes.every((sides) => {
    const shape = [...sides];
    const length = shape.reduce((product, side) => product * side, 1);
    const left = Float32Array.from({ length }, (_, i) => TELLING[i % every] as number);
    const right = Float32Array.from({ length }, (_, i) => TELLING[Math.floor(i / every) % every] as number);
    const [one, other] = [left, right].map(
      (values) =>
        new HeldTensors(binding, [
          { id: binding.createTensor(shape, binding.TF_FLOAT, values), shape, dtype: binding.TF_FLOAT },
        ]),
    ) as [HeldTensors, HeldTensors];
    const sum = one.plus(other, 1);
    const made = sum.read(0);
    for (const tensors of [one, other, sum]) tensors.dispose();
    const defined = new Float32Array(length);
    codecKernels.addFlushed(left, right, defined);
    return Buffer.from(made.buffer).equals(Buffer.from(defined.buffer));
  });
}
