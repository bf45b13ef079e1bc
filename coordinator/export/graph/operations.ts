import { isRecord, ownEntry } from '../../../shared/model/keras-layer.ts';
import { rangeOf, type Index, type Operand } from '../../../shared/model/operations.ts';
import { fromFirst, type Graph, type Reduction, type Tensor, type UnaryFunction } from './graph.ts';
import { boundedSize, sidesOf, type LayerWriters } from './layer-call.ts';
import {
  activate,
  alongLast,
  celu,
  elu,
  hardShrink,
  leakyRelu,
  softShrink,
  squareplus,
} from './activations.ts';
import { fillShape } from './reshaping.ts';

/** Operation on tensors between layers, with its settings as Keras writes them. */
interface OperationCall {
  readonly graph: Graph;
  readonly settings: Readonly<Record<string, unknown>>;
}

type Write = (call: OperationCall, ...operands: Tensor[]) => Tensor | Tensor[];

const numberOf = ({ settings }: OperationCall, key: string, standard: number): number =>
  typeof settings[key] === 'number' ? settings[key] : standard;

const axesOf = ({ settings }: OperationCall, key: string, rank: number): number[] =>
  ([settings[key]].flat() as number[]).map((axis) => fromFirst(axis, rank));

const axisOf = (call: OperationCall, key: string, rank: number): number =>
  axesOf(call, key, rank)[0] as number;

const unary =
  (fn: UnaryFunction): Write =>
  ({ graph }, x) =>
    graph.unary(fn, x);

const elementwise =
  (compute: (graph: Graph, x: Tensor) => Tensor): Write =>
  ({ graph }, x) =>
    compute(graph, x);

const pairwise =
  (compute: (graph: Graph, left: Tensor, right: Tensor) => Tensor): Write =>
  ({ graph }, left, right) =>
    compute(graph, left, right);

const reduction =
  (compute: (graph: Graph, x: Tensor, axes: number[], keepDims: boolean) => Tensor): Write =>
  (call, x) =>
    compute(call.graph, x, axesOf(call, 'axis', x.shape.length), call.settings.keepdims === true);

const reduced = (fn: Reduction): Write =>
  reduction((graph, x, axes, keep) => graph.reduce(fn, x, axes, keep));

function variance(graph: Graph, x: Tensor, axes: number[], keep: boolean): Tensor {
  const centered = graph.sub(x, graph.reduce('Mean', x, axes, true));
  return graph.reduce('Mean', graph.mul(centered, centered), axes, keep);
}

/** Logarithm of the sum of exponentials, without overflow. */
function logSumExp(graph: Graph, x: Tensor, axes: number[], keep: boolean): Tensor {
  const max = graph.reduce('Max', x, axes, true);
  const sum = graph.unary('Log', graph.reduce('Sum', graph.unary('Exp', graph.sub(x, max)), axes, true));
  const result = graph.add(sum, max);
  return keep
    ? result
    : graph.reshape(
        result,
        x.shape.filter((_, axis) => !axes.includes(axis)),
      );
}

const named = (name: string): Write => elementwise((graph, x) => activate(graph, name, x));

const position = (of: 'Max' | 'Min'): Write =>
  reduction((graph, x, [axis = 1], keep) => {
    const found = graph.position(of, x, axis);
    return keep ? graph.reshape(found, x.shape.with(axis, 1)) : found;
  });

const sqrt = (graph: Graph, x: Tensor): Tensor => graph.unary('Sqrt', x);

/** Product of matrices, one of which may be constant. */
function product(graph: Graph, left: Tensor, right: Tensor): Tensor {
  if (right.constant !== undefined) return graph.dense(left, right, null);
  return graph.matmul(left, right);
}

function getItem({ graph, settings }: OperationCall, x: Tensor): Tensor {
  const key = settings.key as Index[];
  const used = key.filter((index) => index !== 'ellipsis' && index !== 'newaxis').length;
  const whole: Index = { start: null, stop: null, step: null };
  const rest = Array.from({ length: x.shape.length - used }, () => whole);
  const at = key.indexOf('ellipsis');
  const indices = at < 0 ? [...key, ...rest] : [...key.slice(0, at), ...rest, ...key.slice(at + 1)];
  let result = x;
  let axis = 0;
  const shape: (number | null)[] = [];
  for (const index of indices) {
    if (index === 'newaxis') {
      shape.push(1);
      continue;
    }
    const length = x.shape[axis] ?? null;
    if (typeof index === 'number') {
      const from = fromFirst(index, Number(length));
      result = graph.slice(result, axis, from, from + 1);
    } else if (length === null) {
      shape.push(null);
    } else if (typeof index === 'object') {
      const [from, step, count] = rangeOf(index, length);
      const positions = Array.from({ length: count }, (_, i) => from + i * step);
      result =
        step === 1
          ? graph.slice(result, axis, from, from + count)
          : graph.gather(result, graph.integers(positions), axis);
      shape.push(count);
    }
    axis++;
  }
  return graph.reshape(result, shape);
}

/** Order of axes after some have moved. */
function movedAxes(call: OperationCall, rank: number): number[] {
  const from = axesOf(call, 'source', rank);
  const to = axesOf(call, 'destination', rank);
  const order: number[] = [];
  to.forEach((axis, i) => (order[axis] = from[i] as number));
  const rest = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => !from.includes(axis));
  for (let axis = 0; axis < rank; axis++) order[axis] ??= rest.shift() as number;
  return order;
}

function split(call: OperationCall, x: Tensor): Tensor[] {
  const axis = axisOf(call, 'axis', x.shape.length);
  const length = Number(x.shape[axis]);
  const sections = call.settings.indices_or_sections as number | number[];
  const ends = Array.isArray(sections)
    ? sections.map((end) => fromFirst(end, length))
    : Array.from({ length: sections - 1 }, (_, i) => ((i + 1) * length) / sections);
  const all = [0, ...ends, length];
  return all.slice(1).map((end, i) => call.graph.slice(x, axis, all[i] as number, end));
}

/** Picks positions of an axis, each any number of times. */
const pick = ({ graph }: OperationCall, x: Tensor, axis: number, positions: readonly number[]): Tensor =>
  graph.gather(x, graph.integers(positions), axis);

const count = (length: number): number[] => Array.from({ length: boundedSize(length) }, (_, i) => i);

/** Operations that pick and move elements. */
const SHAPES: Readonly<Record<string, Write>> = {
  Reshape: ({ graph, settings }, x) => {
    const [, ...rest] = settings.newshape as (number | null)[];
    return graph.reshape(x, [null, ...fillShape(rest, sidesOf(x))]);
  },
  Transpose: (call, x) => call.graph.transpose(x, axesOf(call, 'axes', x.shape.length)),
  Swapaxes: (call, x) => {
    const [first, second] = [axisOf(call, 'axis1', x.shape.length), axisOf(call, 'axis2', x.shape.length)];
    const order = x.shape.map((_, axis) => (axis === first ? second : axis === second ? first : axis));
    return call.graph.transpose(x, order);
  },
  Moveaxis: (call, x) => call.graph.transpose(x, movedAxes(call, x.shape.length)),
  ExpandDims: (call, x) => {
    const rank = x.shape.length + [call.settings.axis].flat().length;
    const shape = [...x.shape];
    for (const axis of axesOf(call, 'axis', rank).toSorted((a, b) => a - b)) shape.splice(axis, 0, 1);
    return call.graph.reshape(x, shape);
  },
  Squeeze: (call, x) => {
    const axes =
      (call.settings.axis ?? null) === null
        ? x.shape.flatMap((side, axis) => (axis > 0 && side === 1 ? [axis] : []))
        : axesOf(call, 'axis', x.shape.length);
    return call.graph.reshape(
      x,
      x.shape.filter((_, axis) => !axes.includes(axis)),
    );
  },
  Concatenate: (call, ...parts) =>
    call.graph.concat(parts, axisOf(call, 'axis', (parts[0] as Tensor).shape.length)),
  Stack: (call, ...parts) => {
    const axis = axisOf(call, 'axis', (parts[0] as Tensor).shape.length + 1);
    return call.graph.concat(
      parts.map((part) => call.graph.reshape(part, part.shape.toSpliced(axis, 0, 1))),
      axis,
    );
  },
  Split: split,
  Unstack: (call, x) => {
    const axis = axisOf(call, 'axis', x.shape.length);
    return count(Number(x.shape[axis])).map((i) =>
      call.graph.reshape(call.graph.slice(x, axis, i, i + 1), x.shape.toSpliced(axis, 1)),
    );
  },
  GetItem: getItem,
  Take: (call, x) => {
    const axis = axisOf(call, 'axis', x.shape.length);
    const { indices } = call.settings;
    const positions = ([indices].flat() as number[]).map((index) => fromFirst(index, Number(x.shape[axis])));
    const taken = pick(call, x, axis, positions);
    return typeof indices === 'number' ? call.graph.reshape(taken, x.shape.toSpliced(axis, 1)) : taken;
  },
  Flip: (call, x) => call.graph.reverse(x, axesOf(call, 'axis', x.shape.length)),
  Roll: (call, x) => {
    const axis = axisOf(call, 'axis', x.shape.length);
    const length = Number(x.shape[axis]);
    const shift = ((numberOf(call, 'shift', 0) % length) + length) % length;
    return pick(
      call,
      x,
      axis,
      count(length).map((i) => (i - shift + length) % length),
    );
  },
  Cumsum: (call, x) => call.graph.cumsum(x, axisOf(call, 'axis', x.shape.length)),
  Repeat: (call, x) => {
    const axis = axisOf(call, 'axis', x.shape.length);
    const times = numberOf(call, 'repeats', 1);
    return pick(
      call,
      x,
      axis,
      count(Number(x.shape[axis]) * times).map((i) => Math.floor(i / times)),
    );
  },
  Tile: (call, x) => {
    const repeats = call.settings.repeats as number[];
    return repeats.reduce((tiled, times, i) => {
      const axis = x.shape.length - repeats.length + i;
      const length = Number(x.shape[axis]);
      return times === 1
        ? tiled
        : pick(
            call,
            tiled,
            axis,
            count(length * times).map((at) => at % length),
          );
    }, x);
  },
  Pad: (call, x) =>
    call.graph.pad(x, call.settings.pad_width as [number, number][], numberOf(call, 'constant_values', 0)),
};

/** Operations by the names of Keras. */
const OPERATIONS: Readonly<Record<string, Write>> = {
  Add: pairwise((graph, a, b) => graph.add(a, b)),
  Subtract: pairwise((graph, a, b) => graph.sub(a, b)),
  Multiply: pairwise((graph, a, b) => graph.mul(a, b)),
  Divide: pairwise((graph, a, b) => graph.div(a, b)),
  TrueDivide: pairwise((graph, a, b) => graph.div(a, b)),
  FloorDivide: pairwise((graph, a, b) => graph.unary('Floor', graph.div(a, b))),
  Mod: pairwise((graph, a, b) => graph.sub(a, graph.mul(b, graph.unary('Floor', graph.div(a, b))))),
  Power: pairwise((graph, a, b) => graph.binary('Pow', a, b)),
  Maximum: pairwise((graph, a, b) => graph.binary('Max', a, b)),
  Minimum: pairwise((graph, a, b) => graph.binary('Min', a, b)),
  Equal: pairwise((graph, a, b) => graph.compare('Equal', a, b)),
  NotEqual: pairwise((graph, a, b) => graph.sub(1, graph.compare('Equal', a, b))),
  Greater: pairwise((graph, a, b) => graph.compare('Greater', a, b)),
  GreaterEqual: pairwise((graph, a, b) => graph.compare('GreaterOrEqual', a, b)),
  Less: pairwise((graph, a, b) => graph.compare('Less', a, b)),
  LessEqual: pairwise((graph, a, b) => graph.compare('LessOrEqual', a, b)),
  LogicalAnd: pairwise((graph, a, b) => graph.mul(graph.truth(a), graph.truth(b))),
  LogicalOr: pairwise((graph, a, b) => graph.binary('Max', graph.truth(a), graph.truth(b))),
  LogicalNot: elementwise((graph, x) => graph.compare('Equal', x, 0)),
  Where: ({ graph }, condition, left, right) => graph.where(condition, left, right),
  Matmul: pairwise(product),
  Dot: pairwise(product),
  Einsum: ({ graph, settings }, left, right) =>
    graph.einsum(String(settings.subscripts).replaceAll(' ', ''), left, right),

  Negative: unary('Neg'),
  Absolute: unary('Abs'),
  Exp: unary('Exp'),
  Expm1: elementwise((graph, x) => graph.sub(graph.unary('Exp', x), 1)),
  Log: unary('Log'),
  Log1p: elementwise((graph, x) => graph.unary('Log', graph.add(x, 1))),
  Sqrt: unary('Sqrt'),
  Rsqrt: elementwise((graph, x) => graph.unary('Reciprocal', sqrt(graph, x))),
  Square: elementwise((graph, x) => graph.mul(x, x)),
  Reciprocal: unary('Reciprocal'),
  Sin: unary('Sin'),
  Cos: unary('Cos'),
  Tan: unary('Tan'),
  Sinh: unary('Sinh'),
  Cosh: unary('Cosh'),
  Tanh: unary('Tanh'),
  Erf: unary('Erf'),
  Sign: unary('Sign'),
  Floor: unary('Floor'),
  Ceil: unary('Ceil'),
  ZerosLike: elementwise((graph, x) => graph.zeros(x, x.shape)),
  OnesLike: elementwise((graph, x) => graph.add(graph.zeros(x, x.shape), 1)),
  Clip: (call, x) =>
    call.graph.clip(x, numberOf(call, 'x_min', -Infinity), numberOf(call, 'x_max', Infinity)),
  Cast: ({ graph, settings }, x) => {
    if (settings.dtype === 'float32') return x;
    if (settings.dtype === 'bool') return graph.truth(x);
    return graph.mul(graph.unary('Sign', x), graph.unary('Floor', graph.unary('Abs', x)));
  },

  Relu: unary('Relu'),
  Relu6: named('relu6'),
  Sigmoid: unary('Sigmoid'),
  Silu: named('silu'),
  Softplus: unary('Softplus'),
  Softsign: unary('Softsign'),
  Selu: unary('Selu'),
  HardSigmoid: named('hard_sigmoid_keras3'),
  HardSilu: named('hard_silu'),
  HardTanh: named('hard_tanh'),
  LogSigmoid: named('log_sigmoid'),
  SparsePlus: named('sparse_plus'),
  SparseSigmoid: named('sparse_sigmoid'),
  TanhShrink: named('tanh_shrink'),
  Elu: (call, x) => elu(call.graph, x, numberOf(call, 'alpha', 1)),
  Celu: (call, x) => celu(call.graph, x, numberOf(call, 'alpha', 1)),
  Gelu: ({ graph, settings }, x) => activate(graph, settings.approximate === false ? 'gelu' : 'gelu_tanh', x),
  LeakyRelu: (call, x) => leakyRelu(call.graph, x, numberOf(call, 'negative_slope', 0.2)),
  Squareplus: (call, x) => squareplus(call.graph, x, numberOf(call, 'b', 4)),
  SoftShrink: (call, x) => softShrink(call.graph, x, numberOf(call, 'threshold', 0.5)),
  HardShrink: (call, x) => hardShrink(call.graph, x, numberOf(call, 'threshold', 0.5)),
  Threshold: (call, x) => {
    const { graph } = call;
    const isAbove = graph.compare('Greater', x, numberOf(call, 'threshold', 0));
    const below = graph.mul(graph.sub(1, isAbove), numberOf(call, 'default_value', 0));
    return graph.add(graph.mul(x, isAbove), below);
  },
  Softmax: (call, x) =>
    alongLast(call.graph, x, axesOf(call, 'axis', x.shape.length), (rows) => call.graph.softmax(rows)),
  LogSoftmax: (call, x) =>
    alongLast(call.graph, x, axesOf(call, 'axis', x.shape.length), (rows) => call.graph.softmax(rows, true)),
  Glu: (call, x) => {
    const [left, right] = call.graph.split(x, 2, axisOf(call, 'axis', x.shape.length)) as [Tensor, Tensor];
    return call.graph.mul(left, call.graph.unary('Sigmoid', right));
  },

  Mean: reduced('Mean'),
  Sum: reduced('Sum'),
  Max: reduced('Max'),
  Min: reduced('Min'),
  Prod: reduced('Prod'),
  Var: reduction(variance),
  Std: reduction((graph, x, axes, keep) => sqrt(graph, variance(graph, x, axes, keep))),
  Logsumexp: reduction(logSumExp),
  Any: reduction((graph, x, axes, keep) => graph.reduce('Max', graph.truth(x), axes, keep)),
  All: reduction((graph, x, axes, keep) => graph.reduce('Min', graph.truth(x), axes, keep)),
  Norm: reduction((graph, x, axes, keep) => sqrt(graph, graph.reduce('Sum', graph.mul(x, x), axes, keep))),
  Normalize: (call, x) => {
    const { graph } = call;
    const squares = graph.reduce('Sum', graph.mul(x, x), axesOf(call, 'axis', x.shape.length), true);
    const factor = graph.unary('Reciprocal', sqrt(graph, squares));
    return graph.mul(x, graph.binary('Min', factor, 1 / numberOf(call, 'epsilon', 1e-7)));
  },
  Argmax: position('Max'),
  Argmin: position('Min'),
  OneHot: (call, x) => {
    const classes = count(numberOf(call, 'num_classes', 1));
    const all = call.graph.constant(classes, [classes.length]);
    return call.graph.compare('Equal', call.graph.reshape(x, [...x.shape, 1]), all);
  },
  ...SHAPES,
};

/** Operations whose constants are those of a float. */
const constantOf = (graph: Graph, value: Exclude<Operand, null>): Tensor => {
  const shape: number[] = [];
  for (let inner: unknown = value; Array.isArray(inner); [inner] = inner as unknown[])
    shape.push(inner.length);
  return graph.constant([value].flat(9) as number[], shape);
};

/** Names of the operations, for tests. */
export const WRITTEN_OPERATIONS: readonly string[] = Object.keys(OPERATIONS);

/** Operations on tensors between the layers of a model. */
export const operationLayers: LayerWriters = {
  Operation: ({ graph, layer, inputs }) => {
    const { operation, operands, settings } = layer.config;
    const write = ownEntry(OPERATIONS, String(operation));
    if (write === undefined) throw new Error(`the operation ${String(operation)} is not known`);
    const rest = [...inputs];
    const values = (operands as readonly Operand[]).map((operand) =>
      operand === null ? (rest.shift() as Tensor) : constantOf(graph, operand),
    );
    return write({ graph, settings: isRecord(settings) ? settings : {} }, ...values);
  },
};
