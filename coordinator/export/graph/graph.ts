// Intermediate form of a trained model: a list of primitive operations on tensors, from which the files of ONNX and TensorFlow are
// written. Layers become operations in layers/, the files in onnx.ts and saved-model.ts.

/** Length of an axis; null for the samples of a batch, whose number is open. */
export type Side = number | null;
export type Shape = readonly Side[];
export type DType = 'float32' | 'int32' | 'bool';

/** Result of an operation, an input of the graph, or a constant. */
export interface Tensor {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Values of a constant, with its name if it is a tensor of the model. */
  readonly constant?: Constant;
}

export interface Constant {
  readonly values: Float32Array | Int32Array;
  readonly name: string | null;
}

/** Functions of one value that both formats have by one name, apart from the spelling. */
export type UnaryFunction =
  | 'Abs'
  | 'Ceil'
  | 'Cos'
  | 'Cosh'
  | 'Elu'
  | 'Erf'
  | 'Exp'
  | 'Floor'
  | 'Identity'
  | 'Log'
  | 'Neg'
  | 'Reciprocal'
  | 'Relu'
  | 'Selu'
  | 'Sigmoid'
  | 'Sign'
  | 'Sin'
  | 'Sinh'
  | 'Softplus'
  | 'Softsign'
  | 'Sqrt'
  | 'Tan'
  | 'Tanh';
export type BinaryFunction = 'Add' | 'Sub' | 'Mul' | 'Div' | 'Pow' | 'Max' | 'Min';
export type Comparison = 'Equal' | 'Greater' | 'GreaterOrEqual' | 'Less' | 'LessOrEqual';
export type Reduction = 'Mean' | 'Sum' | 'Max' | 'Min' | 'Prod';
export type CellKind = 'SimpleRNN' | 'LSTM' | 'GRU';

/** Numbers before and after each axis of an image. */
export type Pads = readonly (readonly [number, number])[];

/** Computation of a node. Images have their channels last, kernels are [...sides, inputs, outputs] as in Keras. */
export type Operation =
  | { readonly op: 'unary'; readonly fn: UnaryFunction }
  | { readonly op: 'binary'; readonly fn: BinaryFunction }
  | { readonly op: 'compare'; readonly fn: Comparison }
  | { readonly op: 'cast'; readonly to: DType }
  | { readonly op: 'where' }
  /** Product of matrices; leading axes are those of a batch. */
  | { readonly op: 'matmul' }
  /** Product of the last axis with a kernel, plus a bias if there is one. */
  | { readonly op: 'dense' }
  | { readonly op: 'einsum'; readonly equation: string }
  | { readonly op: 'transpose'; readonly order: readonly number[] }
  | { readonly op: 'reshape' }
  | { readonly op: 'concat'; readonly axis: number }
  | { readonly op: 'slice'; readonly axis: number; readonly start: number; readonly end: number }
  | { readonly op: 'reverse'; readonly axes: readonly number[] }
  /** Elements of the first input at the positions of the second. */
  | { readonly op: 'gather'; readonly axis: number }
  | { readonly op: 'pad'; readonly pads: Pads; readonly value: number }
  | {
      readonly op: 'reduce';
      readonly fn: Reduction;
      readonly axes: readonly number[];
      readonly keepDims: boolean;
    }
  /** Over the last axis. */
  | { readonly op: 'softmax'; readonly isLog: boolean }
  | { readonly op: 'position'; readonly of: 'Max' | 'Min'; readonly axis: number }
  | { readonly op: 'cumsum'; readonly axis: number }
  | {
      readonly op: 'conv';
      readonly strides: readonly number[];
      readonly dilations: readonly number[];
      readonly pads: Pads;
      readonly groups: number;
    }
  /** Transposed convolution, with kernels [...sides, outputs, inputs]; pads are those of the convolution that it reverses. */
  | { readonly op: 'convTranspose'; readonly strides: readonly number[]; readonly pads: Pads }
  | {
      readonly op: 'pool';
      readonly kind: 'Max' | 'Average';
      readonly size: readonly number[];
      readonly strides: readonly number[];
      readonly pads: Pads;
    }
  /** Inputs: x, gamma, beta, mean, variance of the last axis. */
  | { readonly op: 'batchNorm'; readonly epsilon: number }
  /** Over the last axis. Inputs: x, gamma, beta. */
  | { readonly op: 'layerNorm'; readonly epsilon: number }
  /** Zeros for as many samples as the input has. */
  | { readonly op: 'zeros' }
  | ({ readonly op: 'recurrent' } & RecurrentOperation)
  | { readonly op: 'scan'; readonly body: Graph; readonly states: number; readonly isReversed: boolean };

/**
 * Recurrent layer without masks. Inputs: x [samples, steps, values], kernel, recurrent kernel, bias and, if they are not 0, the
 * first states; outputs: all steps in the order of x, and the last states.
 */
export interface RecurrentOperation {
  readonly cell: CellKind;
  readonly units: number;
  readonly activations: readonly RecurrentActivation[];
  readonly resetAfter: boolean;
  readonly isReversed: boolean;
}
export type RecurrentActivation = 'Relu' | 'Sigmoid' | 'Tanh';

export type Node = Operation & {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Name of the layer. */
  readonly layer: string;
};

/** Operations that only some formats have; layers are composed of others where it has none. */
export interface Dialect {
  readonly hasRecurrent: boolean;
  readonly hasLayerNorm: boolean;
}

const sizeOf = (sides: Shape): number => sides.reduce<number>((product, side) => product * (side ?? 1), 1);

/** Shape of the result of an operation of values with values, aligned by their last axes. */
export function broadcast(shapes: readonly Shape[]): Side[] {
  const rank = Math.max(...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) => {
    const sides = shapes.map((shape) => {
      const own = axis - rank + shape.length;
      return own < 0 ? 1 : (shape[own] ?? null);
    });
    if (sides.includes(null)) return null;
    const longest = Math.max(...(sides as number[]));
    if (sides.some((side) => side !== 1 && side !== longest))
      throw new Error(`Shapes ${shapes.map((shape) => `[${shape.join(', ')}]`).join(' and ')} do not fit.`);
    return longest;
  });
}

/** Axis counted from the first. */
export const fromFirst = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/**
 * Graph of operations, to which each method adds one. Nodes are in an order in which they can run.
 * @example
 * const graph = new Graph({ hasRecurrent: true, hasLayerNorm: true });
 * const x = graph.input([null, 4]);
 * graph.output(graph.unary('Relu', x));
 */
export class Graph {
  readonly dialect: Dialect;
  readonly nodes: Node[] = [];
  readonly inputs: Tensor[] = [];
  readonly outputs: Tensor[] = [];
  /** Name of the layer whose nodes are added. */
  layer = '';

  constructor(dialect: Dialect) {
    this.dialect = dialect;
  }

  input(shape: Shape): Tensor {
    const tensor: Tensor = { shape, dtype: 'float32' };
    this.inputs.push(tensor);
    return tensor;
  }

  output(tensor: Tensor): void {
    this.outputs.push(tensor);
  }

  /** @param name of the model's tensor @default none */
  constant(
    values: Float32Array | readonly number[],
    shape: readonly number[],
    name: string | null = null,
  ): Tensor {
    const floats = values instanceof Float32Array ? values : Float32Array.from(values);
    if (floats.length !== sizeOf(shape))
      throw new Error(`${floats.length} values for [${shape.join(', ')}].`);
    return { shape, dtype: 'float32', constant: { values: floats, name } };
  }

  scalar(value: number): Tensor {
    return this.constant([value], []);
  }

  integers(values: readonly number[]): Tensor {
    return {
      shape: [values.length],
      dtype: 'int32',
      constant: { values: Int32Array.from(values), name: null },
    };
  }

  unary(fn: UnaryFunction, x: Tensor): Tensor {
    return this.#add({ op: 'unary', fn }, [x], x.shape);
  }

  /** @param left a number stands for a constant, as does right */
  binary(fn: BinaryFunction, left: Tensor | number, right: Tensor | number): Tensor {
    const [a, b] = [this.#tensor(left), this.#tensor(right)];
    return this.#add({ op: 'binary', fn }, [a, b], broadcast([a.shape, b.shape]));
  }

  add(left: Tensor | number, right: Tensor | number): Tensor {
    return this.binary('Add', left, right);
  }

  sub(left: Tensor | number, right: Tensor | number): Tensor {
    return this.binary('Sub', left, right);
  }

  mul(left: Tensor | number, right: Tensor | number): Tensor {
    return this.binary('Mul', left, right);
  }

  div(left: Tensor | number, right: Tensor | number): Tensor {
    return this.binary('Div', left, right);
  }

  clip(x: Tensor, low: number, high: number): Tensor {
    const above = Number.isFinite(low) ? this.binary('Max', x, low) : x;
    return Number.isFinite(high) ? this.binary('Min', above, high) : above;
  }

  /** 1 where a comparison holds, else 0. */
  compare(fn: Comparison, left: Tensor | number, right: Tensor | number): Tensor {
    const [a, b] = [this.#tensor(left), this.#tensor(right)];
    const holds = this.#add({ op: 'compare', fn }, [a, b], broadcast([a.shape, b.shape]), 'bool');
    return this.#add({ op: 'cast', to: 'float32' }, [holds], holds.shape);
  }

  /** 1 for values other than 0, else 0. */
  truth(x: Tensor): Tensor {
    return this.sub(1, this.compare('Equal', x, 0));
  }

  /** `left` where the condition is not 0, else `right`. */
  where(condition: Tensor, left: Tensor, right: Tensor): Tensor {
    const chosen = this.#add({ op: 'cast', to: 'bool' }, [condition], condition.shape, 'bool');
    return this.#add(
      { op: 'where' },
      [chosen, left, right],
      broadcast([condition.shape, left.shape, right.shape]),
    );
  }

  toIntegers(x: Tensor): Tensor {
    return this.#add({ op: 'cast', to: 'int32' }, [x], x.shape, 'int32');
  }

  matmul(left: Tensor, right: Tensor): Tensor {
    const batch = broadcast([left.shape.slice(0, -2), right.shape.slice(0, -2)]);
    return this.#add(
      { op: 'matmul' },
      [left, right],
      [...batch, left.shape.at(-2) ?? null, right.shape.at(-1) ?? null],
    );
  }

  /** @param kernel [inputs, outputs] */
  dense(x: Tensor, kernel: Tensor, bias: Tensor | null): Tensor {
    return this.#add({ op: 'dense' }, bias === null ? [x, kernel] : [x, kernel, bias], [
      ...x.shape.slice(0, -1),
      kernel.shape[1] ?? null,
    ]);
  }

  /** @param equation such as `ab,bc->ac` */
  einsum(equation: string, left: Tensor, right: Tensor): Tensor {
    const [operands = '', output = ''] = equation.split('->');
    const sides = new Map<string, Side>();
    operands.split(',').forEach((letters, i) => {
      const { shape } = i === 0 ? left : right;
      if (letters.length !== shape.length) throw new Error('its equation has other axes than its inputs');
      letters.split('').forEach((letter, axis) => sides.set(letter, shape[axis] ?? null));
    });
    const shape = output.split('').map((letter) => sides.get(letter) ?? null);
    return this.#add({ op: 'einsum', equation }, [left, right], shape);
  }

  transpose(x: Tensor, order: readonly number[]): Tensor {
    if (order.every((axis, i) => axis === i)) return x;
    return this.#add(
      { op: 'transpose', order },
      [x],
      order.map((axis) => x.shape[axis] ?? null),
    );
  }

  /** @param shape with null, if at all, for the first axis */
  reshape(x: Tensor, shape: Shape): Tensor {
    if (x.shape.length === shape.length && x.shape.every((side, i) => side === shape[i])) return x;
    if (x.constant !== undefined) return { ...x, shape };
    return this.#add({ op: 'reshape' }, [x], shape);
  }

  concat(parts: readonly Tensor[], axis: number): Tensor {
    const [first] = parts;
    if (first === undefined) throw new Error('Nothing to join.');
    if (parts.length === 1) return first;
    const length = parts.reduce((sum, { shape }) => sum + Number(shape[axis]), 0);
    return this.#add({ op: 'concat', axis }, parts, first.shape.with(axis, length));
  }

  /** Positions from `start` up to `end` of an axis. */
  slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    if (start === 0 && end === x.shape[axis]) return x;
    return this.#add({ op: 'slice', axis, start, end }, [x], x.shape.with(axis, end - start));
  }

  split(x: Tensor, parts: number, axis: number): Tensor[] {
    const length = Number(x.shape[axis]) / parts;
    return Array.from({ length: parts }, (_, i) => this.slice(x, axis, i * length, (i + 1) * length));
  }

  reverse(x: Tensor, axes: readonly number[]): Tensor {
    return this.#add({ op: 'reverse', axes }, [x], x.shape);
  }

  /** @param indices int32 */
  gather(x: Tensor, indices: Tensor, axis: number): Tensor {
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return this.#add({ op: 'gather', axis }, [x, indices], shape);
  }

  pad(x: Tensor, pads: Pads, value = 0): Tensor {
    if (pads.every(([before, after]) => before === 0 && after === 0)) return x;
    const shape = x.shape.map((side, axis) =>
      side === null ? null : side + (pads[axis]?.[0] ?? 0) + (pads[axis]?.[1] ?? 0),
    );
    return this.#add({ op: 'pad', pads, value }, [x], shape);
  }

  reduce(fn: Reduction, x: Tensor, axes: readonly number[], keepDims: boolean): Tensor {
    const list = axes.map((axis) => fromFirst(axis, x.shape.length));
    const shape = keepDims
      ? x.shape.map((side, axis) => (list.includes(axis) ? 1 : side))
      : x.shape.filter((_, axis) => !list.includes(axis));
    return this.#add({ op: 'reduce', fn, axes: list, keepDims }, [x], shape);
  }

  /** Softmax over the last axis. */
  softmax(x: Tensor, isLog = false): Tensor {
    return this.#add({ op: 'softmax', isLog }, [x], x.shape);
  }

  /** Position of the largest or smallest element of an axis, as float32. */
  position(of: 'Max' | 'Min', x: Tensor, axis: number): Tensor {
    const found = this.#add({ op: 'position', of, axis }, [x], x.shape.toSpliced(axis, 1), 'int32');
    return this.#add({ op: 'cast', to: 'float32' }, [found], found.shape);
  }

  cumsum(x: Tensor, axis: number): Tensor {
    return this.#add({ op: 'cumsum', axis }, [x], x.shape);
  }

  conv(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | null,
    how: Omit<Extract<Operation, { op: 'conv' }>, 'op'>,
  ): Tensor {
    const sides = x.shape.slice(1, -1).map((side, i) => {
      const [before = 0, after = 0] = how.pads[i] ?? [];
      const reach = (Number(kernel.shape[i]) - 1) * (how.dilations[i] ?? 1) + 1;
      return Math.floor((Number(side) + before + after - reach) / (how.strides[i] ?? 1)) + 1;
    });
    return this.#add({ op: 'conv', ...how }, bias === null ? [x, kernel] : [x, kernel, bias], [
      x.shape[0] ?? null,
      ...sides,
      kernel.shape.at(-1) ?? null,
    ]);
  }

  /** @param sides of the output */
  convTranspose(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | null,
    how: { readonly strides: readonly number[]; readonly pads: Pads; readonly sides: readonly number[] },
  ): Tensor {
    const { strides, pads, sides } = how;
    return this.#add(
      { op: 'convTranspose', strides, pads },
      bias === null ? [x, kernel] : [x, kernel, bias],
      [x.shape[0] ?? null, ...sides, kernel.shape.at(-2) ?? null],
    );
  }

  pool(x: Tensor, how: Omit<Extract<Operation, { op: 'pool' }>, 'op'>): Tensor {
    const sides = x.shape.slice(1, -1).map((side, i) => {
      const [before = 0, after = 0] = how.pads[i] ?? [];
      return Math.floor((Number(side) + before + after - (how.size[i] ?? 1)) / (how.strides[i] ?? 1)) + 1;
    });
    return this.#add({ op: 'pool', ...how }, [x], [x.shape[0] ?? null, ...sides, x.shape.at(-1) ?? null]);
  }

  batchNorm(x: Tensor, parameters: readonly Tensor[], epsilon: number): Tensor {
    return this.#add({ op: 'batchNorm', epsilon }, [x, ...parameters], x.shape);
  }

  layerNorm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number): Tensor {
    return this.#add({ op: 'layerNorm', epsilon }, [x, gamma, beta], x.shape);
  }

  /** Zeros for the samples of x. @param shape with null for the samples */
  zeros(x: Tensor, shape: Shape): Tensor {
    return this.#add({ op: 'zeros' }, [x], shape);
  }

  /** @returns all steps, and the last states */
  recurrent(inputs: readonly Tensor[], how: RecurrentOperation): Tensor[] {
    const [x] = inputs as [Tensor];
    const [samples = null, steps = null] = x.shape;
    const state: Tensor = { shape: [samples, how.units], dtype: 'float32' };
    const all: Tensor = { shape: [samples, steps, how.units], dtype: 'float32' };
    const outputs = [all, state, ...(how.cell === 'LSTM' ? [{ ...state }] : [])];
    this.#push({ op: 'recurrent', ...how }, inputs, outputs);
    return outputs;
  }

  /**
   * Loop over the steps of sequences.
   * @param sequences [samples, steps, ...]
   * @param step computes the next states, and an output, from states and the values of a step
   * @returns the outputs of all steps in the order of the sequences, and the last states
   */
  scan(
    states: readonly Tensor[],
    sequences: readonly Tensor[],
    isReversed: boolean,
    step: (
      body: Graph,
      states: readonly Tensor[],
      values: readonly Tensor[],
    ) => { states: Tensor[]; output: Tensor },
  ): { outputs: Tensor; states: Tensor[] } {
    const body = new Graph(this.dialect);
    body.layer = this.layer;
    const inner = states.map(({ shape }) => body.input(shape));
    const values = sequences.map(({ shape }) => body.input(shape.toSpliced(1, 1)));
    const result = step(body, inner, values);
    // A graph's output must be the result of a node of its own.
    const own = (tensor: Tensor): Tensor => body.unary('Identity', tensor);
    for (const tensor of [...result.states, result.output]) body.output(own(tensor));
    const steps = sequences[0]?.shape[1] ?? null;
    const outputs: Tensor = { shape: result.output.shape.toSpliced(1, 0, steps), dtype: 'float32' };
    const last = result.states.map(({ shape }): Tensor => ({ shape, dtype: 'float32' }));
    this.#push(
      { op: 'scan', body, states: states.length, isReversed },
      [...states, ...sequences],
      [...last, outputs],
    );
    return { outputs, states: last };
  }

  #tensor(value: Tensor | number): Tensor {
    return typeof value === 'number' ? this.scalar(value) : value;
  }

  #add(operation: Operation, inputs: readonly Tensor[], shape: Shape, dtype: DType = 'float32'): Tensor {
    const output: Tensor = { shape, dtype };
    this.#push(operation, inputs, [output]);
    return output;
  }

  #push(operation: Operation, inputs: readonly Tensor[], outputs: readonly Tensor[]): void {
    this.nodes.push({ ...operation, inputs, outputs, layer: this.layer });
  }
}
