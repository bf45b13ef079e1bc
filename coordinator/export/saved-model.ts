import type {
  BinaryFunction,
  Comparison,
  Constant,
  Graph,
  Node,
  Pads,
  Shape,
  Side,
  Tensor,
} from './graph/graph.ts';
import { samePads } from './graph/convolution.ts';
import {
  encodeSavedModel,
  TF_TYPES,
  type TfAttribute,
  type TfFunction,
  type TfNode,
  type TfShape,
  type TfTensorInfo,
} from './saved-model-messages.ts';

/** Version of graphs of TensorFlow 2.9, which all later versions read. */
const GRAPH_VERSION = 1087;
/** Version from which TensorFlow reads such graphs. */
const MIN_CONSUMER = 12;

/** Names of the inputs and outputs of the signature. */
export interface SavedModelNames {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * Bytes of the saved_model.pb of a SavedModel without variables: weights are constants of the graph, and the signature
 * `serving_default` has the inputs and outputs.
 * @example
 * writeSavedModel(modelGraph(job, weights, TENSORFLOW_DIALECT), { inputs: ['image'], outputs: ['probabilities'] });
 */
export function writeSavedModel(graph: Graph, names: SavedModelNames): Uint8Array {
  const library: TfFunction[] = [];
  const writer = new TfWriter(library, null);
  const inputs: Record<string, TfTensorInfo> = {};
  graph.inputs.forEach((tensor, i) => {
    const placeholder = writer.placeholder(`input_${i}`, tensor);
    inputs[names.inputs[i] ?? `input_${i}`] = infoOf(placeholder, tensor);
  });
  for (const node of graph.nodes) writer.write(node);
  const outputs: Record<string, TfTensorInfo> = {};
  graph.outputs.forEach((tensor, i) => {
    outputs[names.outputs[i] ?? `output_${i}`] = infoOf(writer.output(`output_${i}`, tensor), tensor);
  });
  return encodeSavedModel({
    schemaVersion: 1,
    metaGraphs: [
      {
        metaInfoDef: { metaGraphVersion: '', tags: ['serve'] },
        graphDef: {
          node: writer.nodes,
          library: { function: library },
          versions: { producer: GRAPH_VERSION, minConsumer: MIN_CONSUMER },
        },
        signatureDef: {
          serving_default: { inputs, outputs, methodName: 'tensorflow/serving/predict' },
        },
      },
    ],
  });
}

const infoOf = (name: string, { shape, dtype }: Tensor): TfTensorInfo => ({
  name: `${name}:0`,
  dtype: TF_TYPES[dtype],
  tensorShape: shapeOf(shape),
});

const shapeOf = (shape: Shape): TfShape => ({ dim: shape.map((side) => ({ size: side ?? -1 })) });

/** Attributes of nodes. */
const type = (dtype: keyof typeof TF_TYPES): TfAttribute => ({ type: TF_TYPES[dtype] });
const FLOAT = type('float32');
const INT = type('int32');
const text = (value: string): TfAttribute => ({ s: Buffer.from(value) });
const ints = (values: readonly number[]): TfAttribute => ({ list: { i: values } });

/** Names of the outputs of operations, by which nodes of functions refer to them; all others are `output`. */
const OUTPUT_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  (
    [
      [
        'y',
        'Abs Ceil Cos Cosh Erf Exp Floor Log Neg Reciprocal Sigmoid Sign Sin Sinh Sqrt Tan Tanh Cast Transpose',
      ],
      ['z', 'AddV2 Sub Mul RealDiv Pow Maximum Minimum Equal Greater GreaterEqual Less LessEqual'],
      ['activations', 'Elu Relu Selu Softplus Softsign'],
      ['product', 'MatMul'],
      ['softmax', 'Softmax'],
      ['logsoftmax', 'LogSoftmax'],
      ['out', 'Cumsum'],
      ['output_handle', 'TensorListSetItem'],
    ] as const
  ).flatMap(([name, operations]) => operations.split(' ').map((operation) => [operation, name])),
);

const BINARY: Readonly<Record<BinaryFunction, string>> = {
  Add: 'AddV2',
  Sub: 'Sub',
  Mul: 'Mul',
  Div: 'RealDiv',
  Pow: 'Pow',
  Max: 'Maximum',
  Min: 'Minimum',
};

const COMPARISONS: Readonly<Record<Comparison, string>> = {
  Equal: 'Equal',
  Greater: 'Greater',
  GreaterOrEqual: 'GreaterEqual',
  Less: 'Less',
  LessOrEqual: 'LessEqual',
};

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Name without the characters that TensorFlow does not accept. */
const safeName = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_./-]/g, '_').replace(/^[^A-Za-z0-9.]/, 'n$&');

/** Values of a kernel [...sides, a, b] with zeros between its rows and columns, as dilations have them. */
function spreadKernel({ shape, constant }: Tensor, dilations: readonly number[]): Tensor {
  if (dilations.every((dilation) => dilation === 1))
    return { shape, dtype: 'float32', ...(constant && { constant }) };
  const sides = shape.slice(0, -2).map(Number);
  const wide = sides.map((side, i) => (side - 1) * (dilations[i] ?? 1) + 1);
  const [a, b] = shape.slice(-2).map(Number) as [number, number];
  const { values, name } = constant as Constant;
  const spread = new Float32Array(wide.reduce((product, side) => product * side, 1) * a * b);
  const taps = sides.reduce((product, side) => product * side, 1);
  for (let tap = 0; tap < taps; tap++) {
    let rest = tap;
    let to = 0;
    let factor = 1;
    for (let i = sides.length - 1; i >= 0; i--) {
      const side = sides[i] as number;
      to += (rest % side) * (dilations[i] ?? 1) * factor;
      rest = Math.floor(rest / side);
      factor *= wide[i] as number;
    }
    spread.set(values.subarray(tap * a * b, (tap + 1) * a * b), to * a * b);
  }
  return { shape: [...wide, a, b], dtype: 'float32', constant: { values: spread, name } };
}

/** Columns of the last axis of a constant. */
function lastAxisPart({ shape, constant }: Tensor, start: number, end: number): Tensor {
  const { values, name } = constant as Constant;
  const columns = Number(shape.at(-1));
  const width = end - start;
  const part = new Float32Array((values.length / columns) * width);
  for (let i = 0; i < part.length; i++)
    part[i] = values[Math.floor(i / width) * columns + start + (i % width)] as number;
  return { shape: shape.with(-1, width), dtype: 'float32', constant: { values: part, name } };
}

/** Writes the nodes of a graph, or of a function that computes one step of a loop. */
class TfWriter {
  readonly nodes: TfNode[] = [];
  readonly #library: TfFunction[];
  /** Name of the function; null for the graph. */
  readonly #function: string | null;
  readonly #references = new Map<Tensor, string>();
  readonly #constants = new Map<ArrayBufferView | string, Map<string, string>>();
  readonly #names = new Set<string>();
  #layer = '';

  constructor(library: TfFunction[], name: string | null) {
    this.#library = library;
    this.#function = name;
  }

  placeholder(name: string, tensor: Tensor): string {
    const attr = { dtype: type(tensor.dtype), shape: { shape: shapeOf(tensor.shape) } };
    this.#push('Placeholder', name, [], attr);
    this.#references.set(tensor, name);
    return name;
  }

  /** Refers to a tensor that is an argument of the function. */
  argument(tensor: Tensor, reference: string): void {
    this.#references.set(tensor, reference);
  }

  output(name: string, tensor: Tensor): string {
    this.#push('Identity', name, [this.reference(tensor)], { T: type(tensor.dtype) });
    return name;
  }

  /** Reference to a tensor, as inputs of nodes have it. */
  reference(tensor: Tensor): string {
    if (tensor.constant !== undefined) return this.#constant(tensor);
    const found = this.#references.get(tensor);
    if (found === undefined) throw new Error('A tensor is used before it is computed.');
    return found;
  }

  #push(
    op: string,
    name: string,
    input: readonly string[],
    attr: Readonly<Record<string, TfAttribute>>,
  ): string {
    this.nodes.push({ name, op, input, attr });
    return name;
  }

  #unique(name: string): string {
    const safe = this.#function === null ? safeName(name) : safeName(name).replaceAll(/[/.-]/g, '_');
    let unique = safe;
    for (let i = 1; this.#names.has(unique); i++) unique = `${safe}_${i}`;
    this.#names.add(unique);
    return unique;
  }

  /** Adds a node. @returns reference to its only output */
  emit(op: string, input: readonly string[], attr: Readonly<Record<string, TfAttribute>>): string {
    const name = this.#push(op, this.#unique(`${this.#layer}/${op}`), input, attr);
    return this.#function === null ? name : `${name}:${OUTPUT_NAMES[op] ?? 'output'}:0`;
  }

  #constant({ constant, shape, dtype }: Tensor): string {
    const { values, name } = constant as Constant;
    const key = name === null && values.length <= 16 ? `${dtype} ${values.join()}` : values;
    const variants = this.#constants.get(key) ?? new Map<string, string>();
    this.#constants.set(key, variants);
    const known = variants.get(shape.join());
    if (known !== undefined) return known;
    const tensor = { dtype: TF_TYPES[dtype], tensorShape: shapeOf(shape), tensorContent: bytesOf(values) };
    const unique = this.#unique(name ?? `${this.#layer}/Const`);
    this.#push('Const', unique, [], { dtype: type(dtype), value: { tensor } });
    const reference = this.#function === null ? unique : `${unique}:output:0`;
    variants.set(shape.join(), reference);
    return reference;
  }

  /** Constant of whole numbers. @param isScalar whether it has no axis */
  integers(values: readonly number[], isScalar = false): string {
    const shape = isScalar ? [] : [values.length];
    return this.#constant({
      shape,
      dtype: 'int32',
      constant: { values: Int32Array.from(values), name: null },
    });
  }

  write(node: Node): void {
    this.#layer = node.layer;
    if (node.op === 'scan') {
      this.#scan(node);
      return;
    }
    this.#references.set(node.outputs[0] as Tensor, this.#compute(node));
  }

  /** Adds the nodes of an operation with one output. @returns reference to the output */
  #compute(node: Exclude<Node, { op: 'scan' }>): string {
    const [x] = node.inputs as [Tensor];
    const [output] = node.outputs as [Tensor];
    const inputs = (): string[] => node.inputs.map((input) => this.reference(input));
    const T = type(x.dtype);
    switch (node.op) {
      case 'unary':
        return this.emit(node.fn, inputs(), { T });
      case 'binary':
        return this.emit(BINARY[node.fn], inputs(), { T });
      case 'compare':
        return this.emit(COMPARISONS[node.fn], inputs(), { T });
      case 'cast':
        return this.emit('Cast', inputs(), { SrcT: T, DstT: type(node.to) });
      case 'where':
        return this.emit('SelectV2', inputs(), { T: FLOAT });
      case 'matmul':
        return this.emit('BatchMatMulV2', inputs(), { T });
      case 'einsum':
        return this.emit('Einsum', inputs(), { T, N: { i: 2 }, equation: text(node.equation) });
      case 'dense': {
        const [a, kernel, bias] = inputs() as [string, string, string | undefined];
        const op = x.shape.length === 2 ? 'MatMul' : 'BatchMatMulV2';
        const product = this.emit(op, [a, kernel], { T });
        return bias === undefined ? product : this.emit('BiasAdd', [product, bias], { T });
      }
      case 'transpose':
        return this.transpose(this.reference(x), node.order);
      case 'reshape':
        return this.#reshape(this.reference(x), output.shape);
      case 'concat':
        return this.emit('ConcatV2', [...inputs(), this.integers([node.axis], true)], {
          N: { i: node.inputs.length },
          T,
          Tidx: INT,
        });
      case 'slice':
        return this.#slice(this.reference(x), x.shape, node.axis, node.start, node.end);
      case 'reverse':
        return this.emit('ReverseV2', [...inputs(), this.integers(node.axes)], { Tidx: INT, T });
      case 'gather':
        return this.emit('GatherV2', [...inputs(), this.integers([node.axis], true)], {
          Tparams: T,
          Tindices: INT,
          Taxis: INT,
        });
      case 'pad':
        return this.#pad(this.reference(x), node.pads, node.value);
      case 'reduce':
        return this.emit(node.fn, [...inputs(), this.integers(node.axes)], {
          keep_dims: { b: node.keepDims },
          T,
          Tidx: INT,
        });
      case 'softmax':
        return this.emit(node.isLog ? 'LogSoftmax' : 'Softmax', inputs(), { T });
      case 'position':
        return this.emit(`Arg${node.of}`, [...inputs(), this.integers([node.axis], true)], {
          T,
          Tidx: INT,
          output_type: INT,
        });
      case 'cumsum':
        return this.emit('Cumsum', [...inputs(), this.integers([node.axis], true)], { T, Tidx: INT });
      case 'conv':
        return this.#conv(node);
      case 'convTranspose':
        return this.#convTranspose(node);
      case 'pool':
        return this.#pool(node);
      case 'batchNorm':
        return this.#batchNorm(node);
      case 'zeros': {
        const samples = this.#samplesOf(this.reference(x), T);
        const shape = this.#joined([samples, this.integers(output.shape.slice(1).map(Number))]);
        const zero = this.#constant({
          shape: [],
          dtype: 'float32',
          constant: { values: new Float32Array(1), name: null },
        });
        return this.emit('Fill', [shape, zero], { T: FLOAT, index_type: INT });
      }
      case 'layerNorm':
      case 'recurrent':
        throw new Error(`TensorFlow has no operation ${node.op}.`);
    }
  }

  /** Number of samples, as a list of one number. */
  #samplesOf(x: string, T: TfAttribute): string {
    const shape = this.emit('Shape', [x], { T, out_type: INT });
    return this.emit('Slice', [shape, this.integers([0]), this.integers([1])], { T: INT, Index: INT });
  }

  #joined(parts: readonly string[]): string {
    const inputs = [...parts, this.integers([0], true)];
    return this.emit('ConcatV2', inputs, { N: { i: parts.length }, T: INT, Tidx: INT });
  }

  transpose(x: string, order: readonly number[]): string {
    return this.emit('Transpose', [x, this.integers(order)], { T: FLOAT, Tperm: INT });
  }

  #reshape(x: string, shape: Shape): string {
    const sides = this.integers(shape.map((side) => side ?? -1));
    return this.emit('Reshape', [x, sides], { T: FLOAT, Tshape: INT });
  }

  #slice(x: string, shape: Shape, axis: number, start: number, end: number): string {
    const begin = this.integers(shape.map((_, i) => (i === axis ? start : 0)));
    // -1 stands for all that is left.
    const size = this.integers(shape.map((_, i) => (i === axis ? end - start : -1)));
    return this.emit('Slice', [x, begin, size], { T: FLOAT, Index: INT });
  }

  #pad(x: string, pads: Pads, value: number): string {
    const amounts = this.#constant({
      shape: [pads.length, 2],
      dtype: 'int32',
      constant: { values: Int32Array.from(pads.flat()), name: null },
    });
    const filling = this.#constant({
      shape: [],
      dtype: 'float32',
      constant: { values: Float32Array.of(value), name: null },
    });
    return this.emit('PadV2', [x, amounts, filling], { T: FLOAT, Tpaddings: INT });
  }

  /** Images with a row if they have one axis only, because TensorFlow has no operation for them. */
  #withRow(x: string, shape: Shape): { reference: string; shape: Side[] } {
    if (shape.length !== 3) return { reference: x, shape: [...shape] };
    const wide = shape.toSpliced(1, 0, 1);
    return { reference: this.#reshape(x, wide), shape: wide };
  }

  /** Name of a padding, after the zeros are added that have none. */
  #padding(
    x: { reference: string; shape: Side[] },
    pads: Pads,
    size: readonly number[],
    strides: readonly number[],
  ): { reference: string; padding: TfAttribute } {
    if (pads.flat().every((amount) => amount === 0))
      return { reference: x.reference, padding: text('VALID') };
    const same = samePads(
      x.shape.slice(1, -1),
      size,
      strides,
      size.map(() => 1),
    );
    if (String(same) === String(pads)) return { reference: x.reference, padding: text('SAME') };
    return { reference: this.#pad(x.reference, [[0, 0], ...pads, [0, 0]], 0), padding: text('VALID') };
  }

  #conv(node: Extract<Node, { op: 'conv' }>): string {
    const [input, kernel, bias] = node.inputs as [Tensor, Tensor, Tensor | undefined];
    const [output] = node.outputs as [Tensor];
    const isRow = input.shape.length === 3;
    const withRow = <T>(values: readonly T[], one: T): T[] => (isRow ? [one, ...values] : [...values]);
    // TensorFlow has no dilations for channels alone and for volumes on CPUs.
    const isNative = !isRow && input.shape.length === 4 && node.groups === 1;
    const dilations = isNative ? node.dilations : node.dilations.map(() => 1);
    const spread = isNative ? kernel : spreadKernel(kernel, node.dilations);
    const filters: Tensor = { ...spread, shape: withRow(spread.shape, 1) };
    const x = this.#withRow(this.reference(input), input.shape);
    const strides = withRow(node.strides, 1);
    const pads = withRow(node.pads, [0, 0] as const);
    const size = filters.shape
      .slice(0, -2)
      .map((side, i) => (Number(side) - 1) * (isNative ? (dilations[i] ?? 1) : 1) + 1);
    const { reference, padding } = this.#padding(x, pads, size, strides);
    const attr = {
      T: FLOAT,
      strides: ints([1, ...strides, 1]),
      dilations: ints([1, ...withRow(dilations, 1), 1]),
      padding,
    };
    let result: string;
    const channels = Number(input.shape.at(-1));
    if (node.groups === 1) {
      const op = input.shape.length === 5 ? 'Conv3D' : 'Conv2D';
      result = this.emit(op, [reference, this.reference(filters)], attr);
    } else if (node.groups === channels && input.shape.length < 5 && new Set(node.strides).size === 1) {
      const multiplier = Number(filters.shape.at(-1)) / channels;
      const deep = { ...filters, shape: [...filters.shape.slice(0, -2), channels, multiplier] };
      // Its strides are the same along both axes, also along the row that has one element.
      const [stride = 1] = node.strides;
      const equal = { ...attr, strides: ints([1, stride, stride, 1]) };
      result = this.emit('DepthwiseConv2dNative', [reference, this.reference(deep)], equal);
    } else {
      result = this.#groups(reference, x.shape, filters, node.groups, attr);
    }
    if (bias !== undefined) result = this.emit('BiasAdd', [result, this.reference(bias)], { T: FLOAT });
    return isRow ? this.#reshape(result, output.shape) : result;
  }

  /** A convolution for each group of channels. */
  #groups(
    x: string,
    shape: Shape,
    filters: Tensor,
    groups: number,
    attr: Readonly<Record<string, TfAttribute>>,
  ): string {
    const op = shape.length === 5 ? 'Conv3D' : 'Conv2D';
    const [inputs, outputs] = [Number(shape.at(-1)) / groups, Number(filters.shape.at(-1)) / groups];
    const last = shape.length - 1;
    const parts = Array.from({ length: groups }, (_, i) => {
      const channels = this.#slice(x, shape, last, i * inputs, (i + 1) * inputs);
      const own = lastAxisPart(filters, i * outputs, (i + 1) * outputs);
      return this.emit(op, [channels, this.reference(own)], attr);
    });
    const axis = this.integers([last], true);
    return this.emit('ConcatV2', [...parts, axis], { N: { i: groups }, T: FLOAT, Tidx: INT });
  }

  #convTranspose(node: Extract<Node, { op: 'convTranspose' }>): string {
    const [input, kernel, bias] = node.inputs as [Tensor, Tensor, Tensor | undefined];
    const [output] = node.outputs as [Tensor];
    const isRow = input.shape.length === 3;
    const x = this.#withRow(this.reference(input), input.shape);
    const filters: Tensor = isRow ? { ...kernel, shape: [1, ...kernel.shape] } : kernel;
    const strides = isRow ? [1, ...node.strides] : node.strides;
    const pads: Pads = isRow ? [[0, 0], ...node.pads] : node.pads;
    const sides = output.shape.slice(1, -1).map(Number);
    const wanted = isRow ? [1, ...sides] : sides;
    // The whole result, from which the part without the zeros is cut.
    const whole = wanted.map((side, i) => side + (pads[i]?.[0] ?? 0) + (pads[i]?.[1] ?? 0));
    const channels = Number(output.shape.at(-1));
    const samples = this.#samplesOf(x.reference, FLOAT);
    const shape = this.#joined([samples, this.integers([...whole, channels])]);
    const isVolume = input.shape.length === 5;
    let result = this.emit(
      isVolume ? 'Conv3DBackpropInputV2' : 'Conv2DBackpropInput',
      [shape, this.reference(filters), x.reference],
      {
        T: FLOAT,
        strides: ints([1, ...strides, 1]),
        padding: text('VALID'),
        ...(isVolume ? { Tshape: INT } : {}),
      },
    );
    if (pads.flat().some((amount) => amount > 0)) {
      const begin = this.integers([0, ...pads.map(([before]) => before), 0]);
      const size = this.integers([-1, ...wanted, -1]);
      result = this.emit('Slice', [result, begin, size], { T: FLOAT, Index: INT });
    }
    if (bias !== undefined) result = this.emit('BiasAdd', [result, this.reference(bias)], { T: FLOAT });
    // Python's tf.saved_model.load() does not find the shape of a result whose shape is computed.
    return this.#reshape(result, output.shape);
  }

  #pool(node: Extract<Node, { op: 'pool' }>): string {
    const [input] = node.inputs as [Tensor];
    const [output] = node.outputs as [Tensor];
    const isRow = input.shape.length === 3;
    const x = this.#withRow(this.reference(input), input.shape);
    const size = isRow ? [1, ...node.size] : node.size;
    const strides = isRow ? [1, ...node.strides] : node.strides;
    const isSame = node.pads.flat().some((amount) => amount > 0);
    const op = `${node.kind === 'Max' ? 'Max' : 'Avg'}Pool${input.shape.length === 5 ? '3D' : ''}`;
    const result = this.emit(op, [x.reference], {
      T: FLOAT,
      ksize: ints([1, ...size, 1]),
      strides: ints([1, ...strides, 1]),
      padding: text(isSame ? 'SAME' : 'VALID'),
    });
    return isRow ? this.#reshape(result, output.shape) : result;
  }

  /** x times a factor plus an offset, which hold the statistics. */
  #batchNorm(node: Extract<Node, { op: 'batchNorm' }>): string {
    const [x, ...parameters] = node.inputs as [Tensor, ...Tensor[]];
    const [gamma, beta, mean, variance] = parameters.map(({ constant }) => (constant as Constant).values) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const factor = gamma.map((value, i) => value / Math.sqrt((variance[i] as number) + node.epsilon));
    const offset = beta.map((value, i) => {
      const exact = (gamma[i] as number) / Math.sqrt((variance[i] as number) + node.epsilon);
      return value - (mean[i] as number) * exact;
    });
    const constant = (values: Float32Array, name: string): string =>
      this.#constant({
        shape: [values.length],
        dtype: 'float32',
        constant: { values, name: `${this.#layer}/${name}` },
      });
    const scaled = this.emit('Mul', [this.reference(x), constant(factor, 'factor')], { T: FLOAT });
    return this.emit('AddV2', [scaled, constant(offset, 'offset')], { T: FLOAT });
  }

  /** A loop with two functions: whether a step is left, and the step itself. */
  #scan(node: Extract<Node, { op: 'scan' }>): void {
    const { body, states, isReversed } = node;
    const sequences = node.inputs.slice(states);
    const steps = Number(sequences[0]?.shape[1]);
    const outputs = node.outputs.at(-1) as Tensor;
    const each = outputs.shape.toSpliced(1, 1);
    const reference = safeName(`${this.#layer}_loop_${this.#library.length}`).replaceAll(
      /[^A-Za-z0-9_]/g,
      '_',
    );
    const types = [TF_TYPES.int32, ...node.inputs.map(() => TF_TYPES.float32), TF_TYPES.variant];
    const args = types.map((each_, i) => ({ name: `arg_${i}`, type: each_ }));

    const condition = new TfWriter(this.#library, `${reference}_cond`);
    const isLeft = condition.emit('Less', ['arg_0', condition.integers([steps], true)], { T: INT });
    this.#library.push({
      signature: {
        name: `${reference}_cond`,
        inputArg: args,
        outputArg: [{ name: 'is_left', type: TF_TYPES.bool }],
      },
      nodeDef: condition.nodes,
      ret: { is_left: isLeft },
    });

    const step = new TfWriter(this.#library, `${reference}_body`);
    const last = step.integers([steps - 1], true);
    const at = isReversed ? step.emit('Sub', [last, 'arg_0'], { T: INT }) : 'arg_0';
    body.inputs.forEach((input, i) => {
      const argument = `arg_${i + 1}`;
      const isState = i < states;
      step.argument(
        input,
        isState
          ? argument
          : step.emit('GatherV2', [argument, at, step.integers([0], true)], {
              Tparams: FLOAT,
              Tindices: INT,
              Taxis: INT,
            }),
      );
    });
    for (const inner of body.nodes) step.write(inner);
    const results = body.outputs.map((output) => step.reference(output));
    const list = `arg_${types.length - 1}`;
    const changed = step.emit('TensorListSetItem', [list, at, results.at(-1) as string], {
      element_dtype: FLOAT,
    });
    const next = step.emit('AddV2', ['arg_0', step.integers([1], true)], { T: INT });
    const kept = sequences.map((_, i) => `arg_${1 + states + i}`);
    const returned = [next, ...results.slice(0, states), ...kept, changed];
    const outputArgs = types.map((each_, i) => ({ name: `out_${i}`, type: each_ }));
    this.#library.push({
      signature: { name: `${reference}_body`, inputArg: args, outputArg: outputArgs },
      nodeDef: step.nodes,
      ret: Object.fromEntries(returned.map((value, i) => [`out_${i}`, value])),
    });

    const rows = sequences.map(({ shape }) => shape.toSpliced(0, 2, steps, null));
    const transposed = sequences.map((sequence) =>
      this.transpose(this.reference(sequence), swapSteps(sequence.shape)),
    );
    const element = this.integers(each.map((side) => side ?? -1));
    const empty = this.emit('TensorListReserve', [element, this.integers([steps], true)], {
      element_dtype: FLOAT,
      shape_type: INT,
    });
    const loop = this.emit(
      'StatelessWhile',
      [
        this.integers([0], true),
        ...node.inputs.slice(0, states).map((state) => this.reference(state)),
        ...transposed,
        empty,
      ],
      {
        T: { list: { type: types } },
        cond: { func: { name: `${reference}_cond` } },
        body: { func: { name: `${reference}_body` } },
        output_shapes: {
          list: {
            shape: [
              shapeOf([]),
              ...node.inputs.slice(0, states).map(({ shape }) => shapeOf(shape)),
              ...rows.map((shape) => shapeOf(shape)),
              shapeOf([]),
            ],
          },
        },
      },
    );
    node.outputs.slice(0, states).forEach((output, i) => this.#references.set(output, `${loop}:${i + 1}`));
    const stacked = this.emit('TensorListStack', [`${loop}:${types.length - 1}`, element], {
      element_dtype: FLOAT,
      num_elements: { i: steps },
    });
    this.#references.set(outputs, this.transpose(stacked, swapSteps(outputs.shape)));
  }
}

/** Order of axes with the first two exchanged. */
const swapSteps = (shape: Shape): number[] =>
  shape.map((_, axis) => (axis === 0 ? 1 : axis === 1 ? 0 : axis));
