import { PairwiseSum } from '../../../shared/model/pairwise-sum.ts';
import type { Binding, OpAttribute } from './backend.ts';
import type { GraphDef } from './graph-def.ts';

/** An op of a graph, as it was written down. */
export interface GraphOp {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly shapes: readonly (readonly number[])[];
  readonly attributes: readonly OpAttribute[];
}

/** What is cut: outputs that are sums over samples. */
export interface ReductionSplit {
  /** The first so many outputs. */
  readonly reductions: number;
  /** Of the parts, which follow each other, in samples. */
  readonly parts: readonly number[];
}

/** Ops that sum over the first axis of these inputs, on which the samples lie one after the other. */
const REDUCED_INPUTS: Record<string, readonly number[]> = {
  Conv2DBackpropFilter: [0, 2],
  DepthwiseConv2dNativeBackpropFilter: [0, 2],
  BiasAddGrad: [0],
};

function findReducedInputs({ op, attributes }: GraphOp): readonly number[] | undefined {
  if (op !== 'MatMul') return REDUCED_INPUTS[op];
  const transposed = (key: string): boolean =>
    attributes.some(({ name, value }) => name === `transpose_${key}` && value === true);
  return transposed('a') && !transposed('b') ? [0, 1] : undefined;
}

/** Ops that give the values of their first input, in another shape at most. */
const PASSTHROUGH_OPS = new Set(['Reshape', 'Identity']);

/** Writes, in place of sums over all samples, the sums of parts of them, added along the tree of TreeSum. */
export class ReductionSplitter {
  readonly #graph: GraphDef;
  readonly #binding: Binding;
  readonly #ops: ReadonlyMap<string, GraphOp>;
  readonly #parts: readonly number[];
  readonly #samples: number;
  readonly #extraOutputs: string[] = [];
  #nodeCount = 0;

  constructor(
    graph: GraphDef,
    binding: Binding,
    ops: ReadonlyMap<string, GraphOp>,
    parts: readonly number[],
  ) {
    this.#graph = graph;
    this.#binding = binding;
    this.#ops = ops;
    this.#parts = parts;
    this.#samples = parts.reduce((sum, part) => sum + part, 0);
  }

  /**
   * Sums that have to be outputs of the graph as well: TensorFlow is free to make one AddN, in another order, of additions
   * whose results go nowhere else.
   */
  get extraOutputs(): readonly string[] {
    return this.#extraOutputs;
  }

  /**
   * @param name of a node
   * @returns the node that has the same sum, by parts
   * @throws Error with a phrase if it is no sum over samples that could be cut
   */
  split(name: string): string {
    const node = this.#ops.get(name);
    if (node === undefined) throw new Error('a gradient that is no sum over samples');
    if (PASSTHROUGH_OPS.has(node.op)) {
      const [first = '', ...others] = node.inputs;
      return this.#add(node.op, [this.split(first), ...others], node.attributes);
    }
    const summed = findReducedInputs(node);
    if (summed === undefined) throw new Error(`a gradient by ${node.op}`);
    const sums: string[] = [];
    const tree = new PairwiseSum((left: string, right: string) => {
      const sum = this.#add('AddV2', [left, right], [this.#type('T', this.#binding.TF_FLOAT)]);
      sums.push(sum);
      return sum;
    });
    const awaited = new Set<string>();
    let from = 0;
    for (const part of this.#parts) {
      const inputs = node.inputs.map((input, i) =>
        summed.includes(i) ? this.#slice(input, node.shapes[i] ?? [], from, part) : input,
      );
      // Each part waits for the sums before it, while they lie in the cache, and so that few are held.
      const before = sums.at(-1);
      if (before !== undefined) {
        awaited.add(before);
        inputs.push(`^${before}`);
      }
      tree.push(this.#add(node.op, inputs, node.attributes));
      from += part;
    }
    const total = tree.total();
    this.#extraOutputs.push(...sums.filter((sum) => sum !== total && !awaited.has(sum)));
    return total;
  }

  #slice(name: string, shape: readonly number[], from: number, samples: number): string {
    const [rows = 0, ...others] = shape;
    const each = rows / this.#samples;
    if (!Number.isInteger(each) || each === 0) throw new Error('a gradient that does not lie by samples');
    const ints = (values: number[]): string =>
      this.#graph.constant(this.#binding.TF_INT32, [values.length], Int32Array.from(values));
    const begin = ints([from * each, ...others.map(() => 0)]);
    const size = ints([samples * each, ...others]);
    return this.#add(
      'Slice',
      [name, begin, size],
      [this.#type('T', this.#binding.TF_FLOAT), this.#type('Index', this.#binding.TF_INT32)],
    );
  }

  #type(name: string, value: number): OpAttribute {
    return { name, type: this.#binding.TF_ATTR_TYPE, value };
  }

  #add(op: string, inputs: readonly string[], attributes: readonly OpAttribute[]): string {
    const name = `part_${this.#nodeCount++}`;
    this.#graph.op(name, op, inputs, attributes);
    return name;
  }
}
