import { nameOf, axesOf, inputOf, numberOf, type LayerCall, type LayerWriters } from './layer-call.ts';
import type { Graph, Tensor, UnaryFunction } from './graph.ts';

type Activation = (graph: Graph, x: Tensor) => Tensor;

const unary =
  (fn: UnaryFunction): Activation =>
  (graph, x) =>
    graph.unary(fn, x);

/** x / 6 + 1/2, between 0 and 1. */
const hardSigmoid: Activation = (graph, x) => graph.clip(graph.add(graph.div(x, 6), 0.5), 0, 1);

/** Exponential linear unit with any alpha. */
export function elu(graph: Graph, x: Tensor, alpha: number): Tensor {
  if (alpha === 1) return graph.unary('Elu', x);
  const below = graph.unary('Elu', graph.binary('Min', x, 0));
  return graph.add(graph.unary('Relu', x), graph.mul(below, alpha));
}

/** Continuously differentiable exponential linear unit. */
export function celu(graph: Graph, x: Tensor, alpha: number): Tensor {
  const below = graph.unary('Elu', graph.binary('Min', graph.div(x, alpha), 0));
  return graph.add(graph.unary('Relu', x), graph.mul(below, alpha));
}

export const squareplus = (graph: Graph, x: Tensor, b: number): Tensor =>
  graph.div(graph.add(x, graph.unary('Sqrt', graph.add(graph.mul(x, x), b))), 2);

export const leakyRelu = (graph: Graph, x: Tensor, slope: number): Tensor =>
  graph.sub(graph.unary('Relu', x), graph.mul(graph.unary('Relu', graph.unary('Neg', x)), slope));

export function softShrink(graph: Graph, x: Tensor, threshold: number): Tensor {
  const above = graph.unary('Relu', graph.sub(x, threshold));
  return graph.sub(above, graph.unary('Relu', graph.sub(-threshold, x)));
}

/** x where its magnitude is above the threshold, else 0. */
export const hardShrink = (graph: Graph, x: Tensor, threshold: number): Tensor =>
  graph.mul(x, graph.compare('Greater', graph.unary('Abs', x), threshold));

/** Activations by the names of Keras. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  linear: (_, x) => x,
  relu: unary('Relu'),
  relu6: (graph, x) => graph.clip(x, 0, 6),
  sigmoid: unary('Sigmoid'),
  tanh: unary('Tanh'),
  softmax: (graph, x) => graph.softmax(x),
  log_softmax: (graph, x) => graph.softmax(x, true),
  elu: unary('Elu'),
  selu: unary('Selu'),
  softplus: unary('Softplus'),
  softsign: unary('Softsign'),
  swish: (graph, x) => graph.mul(x, graph.unary('Sigmoid', x)),
  silu: (graph, x) => graph.mul(x, graph.unary('Sigmoid', x)),
  gelu: (graph, x) =>
    graph.mul(graph.mul(x, 0.5), graph.add(graph.unary('Erf', graph.mul(x, Math.SQRT1_2)), 1)),
  gelu_tanh: (graph, x) => {
    const cube = graph.mul(x, graph.mul(x, x));
    const inner = graph.mul(graph.add(x, graph.mul(cube, 0.044715)), Math.sqrt(2 / Math.PI));
    return graph.mul(graph.mul(x, 0.5), graph.add(graph.unary('Tanh', inner), 1));
  },
  hard_sigmoid: (graph, x) => graph.clip(graph.add(graph.mul(x, 0.2), 0.5), 0, 1),
  hard_sigmoid_keras3: hardSigmoid,
  celu: unary('Elu'),
  exponential: unary('Exp'),
  hard_shrink: (graph, x) => hardShrink(graph, x, 0.5),
  hard_silu: (graph, x) => graph.mul(x, hardSigmoid(graph, x)),
  hard_tanh: (graph, x) => graph.clip(x, -1, 1),
  leaky_relu: (graph, x) => leakyRelu(graph, x, 0.2),
  log_sigmoid: (graph, x) => graph.unary('Neg', graph.unary('Softplus', graph.unary('Neg', x))),
  mish: (graph, x) => graph.mul(x, graph.unary('Tanh', graph.unary('Softplus', x))),
  soft_shrink: (graph, x) => softShrink(graph, x, 0.5),
  sparse_plus: (graph, x) => {
    const inner = graph.add(graph.clip(x, -1, 1), 1);
    return graph.add(graph.div(graph.mul(inner, inner), 4), graph.unary('Relu', graph.sub(x, 1)));
  },
  sparse_sigmoid: (graph, x) => graph.div(graph.add(graph.clip(x, -1, 1), 1), 2),
  squareplus: (graph, x) => squareplus(graph, x, 4),
  tanh_shrink: (graph, x) => graph.sub(x, graph.unary('Tanh', x)),
};

/** Activation by its name. @throws Error if no format has it */
export function activate(graph: Graph, name: string, x: Tensor): Tensor {
  const activation = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (activation === undefined) throw new Error(`its activation ${name} is not known`);
  return activation(graph, x);
}

/** Activation of a layer. */
export const activateLayer = (call: LayerCall, x: Tensor): Tensor =>
  activate(call.graph, nameOf(call, 'activation', 'linear'), x);

/** Applies a function of the last axis to some axes, as if they were one. */
export function alongLast(
  graph: Graph,
  x: Tensor,
  axes: readonly number[],
  compute: (rows: Tensor) => Tensor,
): Tensor {
  const rank = x.shape.length;
  if (axes.length === 1 && axes[0] === rank - 1) return compute(x);
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...rest, ...axes];
  const moved = graph.transpose(x, order);
  const size = axes.reduce((product, axis) => product * Number(x.shape[axis]), 1);
  const rows = graph.reshape(moved, [...moved.shape.slice(0, rest.length), size]);
  const back = order.map((_, axis) => order.indexOf(axis));
  return graph.transpose(graph.reshape(compute(rows), moved.shape), back);
}

/** x above a bound, else 0. */
const above = (graph: Graph, x: Tensor, bound: number): Tensor =>
  bound === 0 ? graph.unary('Relu', x) : graph.mul(x, graph.compare('Greater', x, bound));

/** Layers that apply a function to each element. */
export const activationLayers: LayerWriters = {
  Activation: (call) => activateLayer(call, inputOf(call)),
  ReLU: (call) => {
    const { graph, layer } = call;
    const x = inputOf(call);
    const threshold = numberOf(call, 'threshold', 0);
    const slope = numberOf(call, 'negative_slope', 0);
    const { max_value: max } = layer.config;
    const positive = above(graph, x, threshold);
    const bounded = typeof max === 'number' ? graph.clip(positive, 0, max) : positive;
    if (slope === 0) return bounded;
    const below = graph.unary('Relu', graph.sub(threshold, x));
    return graph.sub(bounded, graph.mul(below, slope));
  },
  LeakyReLU: (call) => leakyRelu(call.graph, inputOf(call), numberOf(call, 'alpha', 0.3)),
  ThresholdedReLU: (call) => above(call.graph, inputOf(call), numberOf(call, 'theta', 1)),
  PReLU: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const below = graph.unary('Relu', graph.unary('Neg', x));
    return graph.sub(graph.unary('Relu', x), graph.mul(call.weight('alpha'), below));
  },
  ELU: (call) => elu(call.graph, inputOf(call), numberOf(call, 'alpha', 1)),
  Softmax: (call) => {
    const x = inputOf(call);
    return alongLast(call.graph, x, axesOf(call, 'axis', x.shape.length), (rows) => call.graph.softmax(rows));
  },
};
