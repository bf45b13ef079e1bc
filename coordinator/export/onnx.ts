import type { Constant, Graph, Node, Shape, Tensor } from './graph/graph.ts';
import {
  attribute,
  encodeOnnx,
  ONNX_TYPES,
  type OnnxAttribute,
  type OnnxGraphMessage,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
} from './onnx-messages.ts';

/** Version of the operators. Version 17 brought LayerNormalization; runtimes of 2022 and later have it. */
const OPSET = 17;
/** Version of the file format that came with the operators. */
const IR_VERSION = 8;

/** Order of axes in which a tensor was computed: as in Keras, with the channels before the sides, or with the steps first. */
type Layout = 'last' | 'first' | 'time';

/** Result of an operation. */
interface Computed {
  readonly layout: Layout;
  readonly name: string;
}

/** Names of the file's inputs and outputs, and what it says about itself. */
export interface OnnxDescription {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Bytes of an .onnx file. Inputs and outputs keep Keras' order of axes; inside, images are transposed only where an operator needs
 * the channels first.
 * @example
 * writeOnnx(modelGraph(job, weights, ONNX_DIALECT), { inputs: ['image'], outputs: ['probabilities'], ... });
 */
export function writeOnnx(graph: Graph, about: OnnxDescription): Uint8Array {
  const scope: Scope = {
    initializers: [],
    known: new Map(),
    names: new Set([...about.inputs, ...about.outputs]),
  };
  const message = new OnnxWriter(scope).graph('model', graph, about.inputs, about.outputs);
  return encodeOnnx({
    irVersion: IR_VERSION,
    producerName: 'gradcast',
    producerVersion: about.version,
    docString: about.description,
    graph: { ...message, initializer: scope.initializers },
    opsetImport: [{ domain: '', version: OPSET }],
    metadataProps: Object.entries(about.metadata).map(([key, value]) => ({ key, value })),
  });
}

/** Names and constants that all graphs of a file share. */
interface Scope {
  readonly initializers: OnnxTensor[];
  /** Names of the constants by their values, and what was done to these. */
  readonly known: Map<ArrayBufferView | string, Map<string, string>>;
  readonly names: Set<string>;
}

const range = (length: number, from = 0): number[] => Array.from({ length }, (_, i) => from + i);

/** Order of axes that brings the channels behind the samples. */
const toFirst = (rank: number): number[] => [0, rank - 1, ...range(rank - 2, 1)];
const toLast = (rank: number): number[] => [0, ...range(rank - 2, 2), 1];
const swapSteps = (rank: number): number[] => [1, 0, ...range(rank - 2, 2)];

/** Axis of a tensor with the channels first. */
const axisInFirst = (axis: number, rank: number): number =>
  axis === 0 ? 0 : axis === rank - 1 ? 1 : axis + 1;

const typeOf = ({ shape, dtype }: Pick<Tensor, 'shape' | 'dtype'>): object => ({
  tensorType: {
    elemType: ONNX_TYPES[dtype],
    shape: { dim: shape.map((side) => (side === null ? { dimParam: 'batch' } : { dimValue: side })) },
  },
});

/** Values of a constant with its axes in another order. */
function transposed(
  values: Constant['values'],
  shape: readonly number[],
  order: readonly number[],
): Constant['values'] {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, side) => product * side, 1));
  const result = new (values.constructor as Float32ArrayConstructor)(values.length);
  const sides = order.map((axis) => shape[axis] as number);
  const steps = order.map((axis) => strides[axis] as number);
  const at = sides.map(() => 0);
  let from = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = values[from] as number;
    for (let axis = sides.length - 1; axis >= 0; axis--) {
      from += steps[axis] as number;
      at[axis] = (at[axis] as number) + 1;
      if (at[axis] !== sides[axis]) break;
      from -= (steps[axis] as number) * (sides[axis] as number);
      at[axis] = 0;
    }
  }
  return result;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Writes the nodes of one graph. */
class OnnxWriter {
  readonly #scope: Scope;
  readonly #nodes: OnnxNode[] = [];
  /** Names of each tensor in the layouts in which it exists. */
  readonly #found = new Map<Tensor, Map<Layout, string>>();
  #layer = '';

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** @param inputs names; null for names of the writer's choice */
  graph(
    name: string,
    graph: Graph,
    inputs: readonly string[] | null,
    outputs: readonly string[] | null,
  ): OnnxGraphMessage {
    const value = (tensor: Tensor, own: string): OnnxValue => ({ name: own, type: typeOf(tensor) });
    const input = graph.inputs.map((tensor, i) => {
      const own = inputs?.[i] ?? this.#unique(`${name}/input`);
      this.#store(tensor, 'last', own);
      return value(tensor, own);
    });
    const used = new Set([...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs]);
    for (const node of graph.nodes)
      if (node.outputs.some((output) => used.has(output))) this.#write(node, used);
    const output = graph.outputs.map((tensor, i) => {
      const computed = this.#get(tensor, 'last');
      const wanted = outputs?.[i];
      if (wanted === undefined) return value(tensor, computed);
      this.#layer = 'output';
      this.#nodes.push(this.#node('Identity', [computed], [wanted], []));
      return value(tensor, wanted);
    });
    return { name, node: this.#nodes, initializer: [], input, output };
  }

  #unique(name: string): string {
    let unique = name;
    for (let i = 1; this.#scope.names.has(unique); i++) unique = `${name}_${i}`;
    this.#scope.names.add(unique);
    return unique;
  }

  #node(
    opType: string,
    input: readonly string[],
    output: readonly string[],
    attributes: readonly OnnxAttribute[],
  ): OnnxNode {
    return { input, output, name: this.#unique(`${this.#layer}/${opType}`), opType, attribute: attributes };
  }

  /** Adds a node with one output. @returns the name of its output */
  #emit(opType: string, input: readonly string[], attributes: readonly OnnxAttribute[] = []): string {
    const output = this.#unique(`${this.#layer}/${opType}_out`);
    this.#nodes.push(this.#node(opType, input, [output], attributes));
    return output;
  }

  #store(tensor: Tensor, layout: Layout, name: string): void {
    const found = this.#found.get(tensor) ?? new Map<Layout, string>();
    found.set(layout, name);
    this.#found.set(tensor, found);
  }

  /** Name of a tensor in a layout, to which it is transposed if it does not exist in it. */
  #get(tensor: Tensor, layout: Layout): string {
    if (tensor.constant !== undefined) return this.#constant(tensor);
    const found = this.#found.get(tensor);
    const name = found?.get(layout);
    if (name !== undefined) return name;
    if (found === undefined) throw new Error('A tensor is used before it is computed.');
    const rank = tensor.shape.length;
    const [source] = [...found.keys()] as [Layout];
    if (layout !== 'last' && source !== 'last') this.#get(tensor, 'last');
    const from = found.get('last') ?? found.get(source) ?? '';
    const order =
      layout === 'first'
        ? toFirst(rank)
        : layout === 'time' || source === 'time'
          ? swapSteps(rank)
          : toLast(rank);
    const result = this.#transpose(from, order);
    found.set(layout, result);
    return result;
  }

  #transpose(name: string, order: readonly number[]): string {
    if (order.every((axis, i) => axis === i)) return name;
    return this.#emit('Transpose', [name], [attribute.ints('perm', order)]);
  }

  /** Whether a tensor exists with the channels first, but not as in Keras. */
  #isFirst(tensor: Tensor): boolean {
    const found = this.#found.get(tensor);
    return found?.has('first') === true && !found.has('last');
  }

  /**
   * Name of an initializer.
   * @param shape that it gets @default its own
   * @param order of its axes before that
   */
  #constant(
    { constant, shape, dtype }: Tensor,
    order: readonly number[] | null = null,
    as: Shape = shape,
  ): string {
    const { values, name } = constant as Constant;
    const isShared = name === null && values.length <= 16;
    const key = isShared ? `${dtype} ${values.join()}` : values;
    const how = `${order?.join() ?? ''} ${as.join()}`;
    const variants = this.#scope.known.get(key) ?? new Map<string, string>();
    this.#scope.known.set(key, variants);
    const known = variants.get(how);
    if (known !== undefined) return known;
    const ordered = order === null ? values : transposed(values, shape as number[], order);
    const unique = this.#initializer(
      name ?? `${this.#layer}/constant`,
      bytesOf(ordered),
      as as number[],
      ONNX_TYPES[dtype],
    );
    variants.set(how, unique);
    return unique;
  }

  #initializer(name: string, rawData: Uint8Array, dims: readonly number[], dataType: number): string {
    const unique = this.#unique(name);
    this.#scope.initializers.push({ name: unique, dims, dataType, rawData });
    return unique;
  }

  /** Name of an initializer of whole numbers. @param isScalar whether it has no axis */
  #integers(values: readonly number[], isScalar = false): string {
    const key = `int64 ${isScalar} ${values.join()}`;
    const variants = this.#scope.known.get(key) ?? new Map<string, string>();
    this.#scope.known.set(key, variants);
    const known = variants.get('');
    if (known !== undefined) return known;
    const data = BigInt64Array.from(values, BigInt);
    const name = this.#initializer('shape', bytesOf(data), isScalar ? [] : [values.length], ONNX_TYPES.int64);
    variants.set('', name);
    return name;
  }

  /** Operands of an elementwise operator in one layout, which is that of its output. */
  #aligned(tensors: readonly Tensor[], rank: number): { names: string[]; layout: Layout } {
    const computed = tensors.filter(({ constant }) => constant === undefined);
    const canBeFirst = rank > 2 && computed.every(({ shape }) => shape.length === rank);
    if (!canBeFirst || !computed.some((tensor) => this.#isFirst(tensor)))
      return { names: tensors.map((tensor) => this.#get(tensor, 'last')), layout: 'last' };
    const names = tensors.map((tensor) => {
      if (tensor.constant === undefined) return this.#get(tensor, 'first');
      const { shape } = tensor;
      if (tensor.constant.values.length === 1) return this.#constant(tensor);
      const full = [...new Array<number>(rank - shape.length).fill(1), ...(shape as number[])];
      const order = toFirst(rank);
      return this.#constant(
        { ...tensor, shape: full },
        order,
        order.map((axis) => full[axis] as number),
      );
    });
    return { names, layout: 'first' };
  }

  /** The only input in the layout in which it exists, with a function that says where its axes are. */
  #own(x: Tensor): { name: string; layout: Layout; axisOf: (axis: number) => number } {
    const rank = x.shape.length;
    if (rank > 2 && this.#isFirst(x))
      return { name: this.#get(x, 'first'), layout: 'first', axisOf: (axis) => axisInFirst(axis, rank) };
    return { name: this.#get(x, 'last'), layout: 'last', axisOf: (axis) => axis };
  }

  #write(node: Node, used: ReadonlySet<Tensor>): void {
    this.#layer = node.layer;
    if (node.op === 'recurrent') this.#recurrent(node, used);
    else if (node.op === 'scan') this.#scan(node);
    else {
      const { layout, name } = this.#compute(node);
      this.#store(node.outputs[0] as Tensor, layout, name);
    }
  }

  /** Adds the nodes of an operation with one output. */
  #compute(node: Exclude<Node, { op: 'recurrent' | 'scan' }>): Computed {
    const [x, second] = node.inputs as [Tensor, Tensor];
    const [output] = node.outputs as [Tensor];
    const rank = x.shape.length;
    const elementwise = (opType: string, attributes: readonly OnnxAttribute[] = []): Computed => {
      const { names, layout } = this.#aligned(node.inputs, output.shape.length);
      return { layout, name: this.#emit(opType, names, attributes) };
    };
    const plain = (opType: string, attributes: readonly OnnxAttribute[] = []): Computed => {
      const names = node.inputs.map((input) => this.#get(input, 'last'));
      return { layout: 'last', name: this.#emit(opType, names, attributes) };
    };
    switch (node.op) {
      case 'unary':
        return elementwise(node.fn);
      case 'binary':
        return elementwise(node.fn);
      case 'compare':
        return elementwise(node.fn);
      case 'cast':
        return elementwise('Cast', [attribute.int('to', ONNX_TYPES[node.to])]);
      case 'where':
        return plain('Where');
      case 'matmul':
        return plain('MatMul');
      case 'einsum':
        return plain('Einsum', [attribute.string('equation', node.equation)]);
      case 'dense': {
        const [, kernel, bias] = node.inputs as [Tensor, Tensor, Tensor | undefined];
        if (bias !== undefined && rank === 2) return plain('Gemm');
        const product = this.#emit('MatMul', [this.#get(x, 'last'), this.#get(kernel, 'last')]);
        return {
          layout: 'last',
          name: bias === undefined ? product : this.#emit('Add', [product, this.#get(bias, 'last')]),
        };
      }
      case 'transpose': {
        const { name, axisOf } = this.#own(x);
        return { layout: 'last', name: this.#transpose(name, node.order.map(axisOf)) };
      }
      case 'reshape': {
        const shape = this.#integers(output.shape.map((side) => side ?? -1));
        return { layout: 'last', name: this.#emit('Reshape', [this.#get(x, 'last'), shape]) };
      }
      case 'concat': {
        const { names, layout } = this.#aligned(node.inputs, rank);
        const axis = layout === 'first' ? axisInFirst(node.axis, rank) : node.axis;
        return { layout, name: this.#emit('Concat', names, [attribute.int('axis', axis)]) };
      }
      case 'slice': {
        const { name, layout, axisOf } = this.#own(x);
        const bounds = [node.start, node.end, axisOf(node.axis)].map((value) => this.#integers([value]));
        return { layout, name: this.#emit('Slice', [name, ...bounds]) };
      }
      case 'reverse': {
        const { name, layout, axisOf } = this.#own(x);
        // From the last element to before the first one, which is any number below the negative length.
        const each = (value: number): string => this.#integers(node.axes.map(() => value));
        const axes = this.#integers(node.axes.map(axisOf));
        const inputs = [name, each(-1), each(-(2 ** 31)), axes, each(-1)];
        return { layout, name: this.#emit('Slice', inputs) };
      }
      case 'gather': {
        if (x.constant !== undefined) return plain('Gather', [attribute.int('axis', node.axis)]);
        const { name, layout, axisOf } = this.#own(x);
        const inputs = [name, this.#get(second, 'last')];
        return { layout, name: this.#emit('Gather', inputs, [attribute.int('axis', axisOf(node.axis))]) };
      }
      case 'pad': {
        const { name, layout } = this.#own(x);
        const order = layout === 'first' ? toFirst(rank) : range(rank);
        const pads = order.map((axis) => node.pads[axis] ?? [0, 0]);
        const amounts = this.#integers([
          ...pads.map(([before]) => before),
          ...pads.map(([, after]) => after),
        ]);
        const value = this.#constant({
          shape: [],
          dtype: 'float32',
          constant: { values: Float32Array.of(node.value), name: null },
        });
        return { layout, name: this.#emit('Pad', [name, amounts, value]) };
      }
      case 'reduce':
        return this.#reduce(node, x, output);
      case 'softmax': {
        const { name, layout, axisOf } = this.#own(x);
        const axis = attribute.int('axis', layout === 'first' ? axisOf(rank - 1) : -1);
        return { layout, name: this.#emit(node.isLog ? 'LogSoftmax' : 'Softmax', [name], [axis]) };
      }
      case 'position':
        return plain(`Arg${node.of}`, [attribute.int('axis', node.axis), attribute.int('keepdims', 0)]);
      case 'cumsum': {
        const axis = this.#integers([node.axis], true);
        return { layout: 'last', name: this.#emit('CumSum', [this.#get(x, 'last'), axis]) };
      }
      case 'conv':
        return this.#image('Conv', node, [
          attribute.ints('strides', node.strides),
          attribute.ints('dilations', node.dilations),
          attribute.int('group', node.groups),
        ]);
      case 'convTranspose': {
        const kernel = node.inputs[1] as Tensor;
        const outputPadding = node.strides.map((stride, i) => {
          const [before = 0, after = 0] = node.pads[i] ?? [];
          const reach = (Number(x.shape[i + 1]) - 1) * stride + Number(kernel.shape[i]) - before - after;
          return Number(output.shape[i + 1]) - reach;
        });
        return this.#image('ConvTranspose', node, [
          attribute.ints('strides', node.strides),
          attribute.ints('output_padding', outputPadding),
        ]);
      }
      case 'pool':
        return this.#image(`${node.kind}Pool`, node, [
          attribute.ints('kernel_shape', node.size),
          attribute.ints('strides', node.strides),
          ...(node.kind === 'Average' ? [attribute.int('count_include_pad', 0)] : []),
        ]);
      case 'batchNorm': {
        const layout = rank > 2 ? 'first' : 'last';
        const parameters = node.inputs.slice(1).map((parameter) => this.#constant(parameter));
        const epsilon = attribute.float('epsilon', node.epsilon);
        const result = this.#emit('BatchNormalization', [this.#get(x, layout), ...parameters], [epsilon]);
        return { layout, name: result };
      }
      case 'layerNorm':
        return plain('LayerNormalization', [
          attribute.int('axis', -1),
          attribute.float('epsilon', node.epsilon),
        ]);
      case 'zeros': {
        const ends = [attribute.int('start', 0), attribute.int('end', 1)];
        const samples = this.#emit('Shape', [this.#get(x, 'last')], ends);
        const sides = this.#integers(output.shape.slice(1).map(Number));
        const shape = this.#emit('Concat', [samples, sides], [attribute.int('axis', 0)]);
        return { layout: 'last', name: this.#emit('ConstantOfShape', [shape]) };
      }
    }
  }

  #reduce(node: Extract<Node, { op: 'reduce' }>, x: Tensor, output: Tensor): Computed {
    const { name, layout, axisOf } = this.#own(x);
    const axes = node.axes.map(axisOf);
    const keep = attribute.int('keepdims', node.keepDims ? 1 : 0);
    const opType = `Reduce${node.fn}`;
    const result =
      node.fn === 'Sum'
        ? this.#emit(opType, [name, this.#integers(axes)], [keep])
        : this.#emit(opType, [name], [attribute.ints('axes', axes), keep]);
    const hasChannels = node.keepDims || !node.axes.includes(x.shape.length - 1);
    const isFirst = layout === 'first' && hasChannels && output.shape.length > 2;
    return { layout: isFirst ? 'first' : 'last', name: result };
  }

  /** Convolution or pool, whose images have their channels first. */
  #image(
    opType: string,
    node: Extract<Node, { pads: unknown; strides: unknown }>,
    attributes: OnnxAttribute[],
  ): Computed {
    const [x, kernel, bias] = node.inputs as [Tensor, Tensor | undefined, Tensor | undefined];
    const names = [this.#get(x, 'first')];
    if (kernel !== undefined) {
      const axes = kernel.shape.length - 2;
      // [...sides, a, b] becomes [b, a, ...sides].
      const order = [axes + 1, axes, ...range(axes)];
      names.push(
        this.#constant(
          kernel,
          order,
          order.map((axis) => kernel.shape[axis] ?? null),
        ),
      );
      attributes.push(attribute.ints('kernel_shape', kernel.shape.slice(0, -2).map(Number)));
    }
    if (bias !== undefined) names.push(this.#constant(bias));
    const pads = [...node.pads.map(([before]) => before), ...node.pads.map(([, after]) => after)];
    return {
      layout: 'first',
      name: this.#emit(opType, names, [...attributes, attribute.ints('pads', pads)]),
    };
  }

  #recurrent(node: Extract<Node, { op: 'recurrent' }>, used: ReadonlySet<Tensor>): void {
    const { cell, units, activations } = node;
    const [x, kernel, recurrent, bias, ...states] = node.inputs as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      ...Tensor[],
    ];
    const gates = RECURRENT_GATES[cell];
    const weights = this.#gateRows(kernel, gates, units);
    const recurrentWeights = this.#gateRows(recurrent, gates, units);
    const inputs = [
      this.#get(x, 'time'),
      weights,
      recurrentWeights,
      this.#gateBiases(bias, gates, units),
      // The lengths of the sequences: all steps.
      '',
      ...states.map((state) => this.#emit('Unsqueeze', [this.#get(state, 'last'), this.#integers([0])])),
    ];
    while (inputs.at(-1) === '') inputs.pop();
    const [all, ...last] = node.outputs as [Tensor, ...Tensor[]];
    const opType = cell === 'SimpleRNN' ? 'RNN' : cell;
    const names = node.outputs.map((output) =>
      used.has(output) ? this.#unique(`${this.#layer}/${opType}_out`) : '',
    );
    const attributes = [
      attribute.int('hidden_size', units),
      attribute.string('direction', node.isReversed ? 'reverse' : 'forward'),
      attribute.strings('activations', activations),
      ...(cell === 'GRU' ? [attribute.int('linear_before_reset', node.resetAfter ? 1 : 0)] : []),
    ];
    this.#nodes.push(this.#node(opType, inputs, names, attributes));
    // The axis of the directions.
    if (used.has(all))
      this.#store(all, 'time', this.#emit('Squeeze', [names[0] as string, this.#integers([1])]));
    last.forEach((state, i) => {
      if (used.has(state))
        this.#store(state, 'last', this.#emit('Squeeze', [names[i + 1] as string, this.#integers([0])]));
    });
  }

  /** Kernel [inputs, gates * units] as [1, gates * units, inputs], with the gates in another order. */
  #gateRows(kernel: Tensor, gates: readonly number[], units: number): string {
    const { values, name } = kernel.constant as Constant;
    const [inputs, columns] = kernel.shape.map(Number) as [number, number];
    const rows = new Float32Array(values.length);
    gates.forEach((gate, to) => {
      for (let unit = 0; unit < units; unit++)
        for (let i = 0; i < inputs; i++)
          rows[(to * units + unit) * inputs + i] = values[i * columns + gate * units + unit] as number;
    });
    return this.#changed(values, name, rows, [1, columns, inputs]);
  }

  /** Biases [1, 2 * gates * units] of the products with the inputs and with the state. */
  #gateBiases(bias: Tensor, gates: readonly number[], units: number): string {
    const { values, name } = bias.constant as Constant;
    const size = gates.length * units;
    const both = new Float32Array(2 * size);
    for (const row of values.length === size ? [0] : [0, 1])
      gates.forEach((gate, to) => {
        const from = row * size + gate * units;
        both.set(values.subarray(from, from + units), row * size + to * units);
      });
    return this.#changed(values, name, both, [1, 2 * size]);
  }

  /** Initializer of values that were made from those of a constant. */
  #changed(source: Constant['values'], name: string | null, values: Float32Array, dims: number[]): string {
    const variants = this.#scope.known.get(source) ?? new Map<string, string>();
    this.#scope.known.set(source, variants);
    const key = `gates ${dims.join()}`;
    const known = variants.get(key);
    if (known !== undefined) return known;
    const unique = this.#initializer(
      name ?? `${this.#layer}/constant`,
      bytesOf(values),
      dims,
      ONNX_TYPES.float32,
    );
    variants.set(key, unique);
    return unique;
  }

  #scan(node: Extract<Node, { op: 'scan' }>): void {
    const sequences = node.inputs.length - node.states;
    const direction = node.isReversed ? 1 : 0;
    const body = new OnnxWriter(this.#scope).graph(`${this.#layer}/step`, node.body, null, null);
    const names = node.outputs.map(() => this.#unique(`${this.#layer}/Scan_out`));
    const inputs = node.inputs.map((input) => this.#get(input, 'last'));
    const each = (value: number): number[] => range(sequences).map(() => value);
    this.#nodes.push(
      this.#node('Scan', inputs, names, [
        attribute.graph('body', body),
        attribute.int('num_scan_inputs', sequences),
        attribute.ints('scan_input_axes', each(1)),
        attribute.ints('scan_input_directions', each(direction)),
        attribute.ints('scan_output_axes', [1]),
        attribute.ints('scan_output_directions', [direction]),
      ]),
    );
    node.outputs.forEach((output, i) => this.#store(output, 'last', names[i] as string));
  }
}

/** Gates in the order of ONNX, by their numbers in that of Keras: LSTM i o f c of i f c o, GRU z r h. */
const RECURRENT_GATES = { SimpleRNN: [0], LSTM: [0, 3, 1, 2], GRU: [0, 1, 2] } as const;
