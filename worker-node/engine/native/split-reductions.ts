import { PairwiseSum } from '../../../shared/model/pairwise-sum.ts';
import type { Binding, OpAttribute } from './backend.ts';
import type { GraphDef } from './graph-def.ts';

/** Op of a graph. */
export interface GraphOp {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly shapes: readonly (readonly number[])[];
  readonly attributes: readonly OpAttribute[];
}

/** Outputs that are computed as sums of parts. */
export interface ReductionSplit {
  /** Number of outputs that are sums over samples; they come first. */
  readonly reductions: number;
  /** Samples of each part. */
  readonly parts: readonly number[];
}

/** Inputs of ops that sum over samples, which lie along the first axis of these inputs. */
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

/** Ops that return the values of their first input, possibly in another shape. */
const PASSTHROUGH_OPS = new Set(['Reshape', 'Identity']);

/** Replaces sums over all samples in a graph by sums over parts of them, which are added in the order of PairwiseSum. */
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
   * Sums that must be outputs of the graph too: TensorFlow may merge additions whose results are used once into one AddN,
   * which adds in another order.
   */
  get extraOutputs(): readonly string[] {
    return this.#extraOutputs;
  }

  /**
   * @param name name of a node
   * @returns the name of a node that has the same sum, by parts
   * @throws Error with a phrase if the node is not a sum over samples that can be split
   */
  split(name: string): string {
    const node = this.#ops.get(name);
    if (node === undefined) throw new Error('a gradient that is not a sum over samples');
    if (PASSTHROUGH_OPS.has(node.op)) {
      const [first = '', ...others] = node.inputs;
      return this.#add(node.op, [this.split(first), ...others], node.attributes);
    }
    const reducedInputs = findReducedInputs(node);
    if (reducedInputs === undefined) throw new Error(`a gradient by ${node.op}`);
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
        reducedInputs.includes(i) ? this.#slice(input, node.shapes[i] ?? [], from, part) : input,
      );
      // Each part waits for the sum before it, so that few parts are in memory and sums find them in the cache.
      const previous = sums.at(-1);
      if (previous !== undefined) {
        awaited.add(previous);
        inputs.push(`^${previous}`);
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
    const rowsPerSample = rows / this.#samples;
    if (!Number.isInteger(rowsPerSample) || rowsPerSample === 0)
      throw new Error('a gradient whose inputs are not ordered by samples');
    const ints = (values: number[]): string =>
      this.#graph.constant(this.#binding.TF_INT32, [values.length], Int32Array.from(values));
    const begin = ints([from * rowsPerSample, ...others.map(() => 0)]);
    const size = ints([samples * rowsPerSample, ...others]);
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
