import type { Graph, Tensor } from './graph.ts';
import {
  axesOf,
  boundedSize,
  inputOf,
  isOn,
  nameOf,
  numberOf,
  type LayerCall,
  type LayerWriters,
} from './layer-call.ts';

/** 1 / sqrt(x). */
const rsqrt = (graph: Graph, x: Tensor): Tensor => graph.unary('Reciprocal', graph.unary('Sqrt', x));

/** (x - mean) / deviation over some axes. */
function standardize(graph: Graph, x: Tensor, axes: readonly number[], epsilon: number): Tensor {
  const centered = graph.sub(x, graph.reduce('Mean', x, axes, true));
  const variance = graph.reduce('Mean', graph.mul(centered, centered), axes, true);
  return graph.mul(centered, rsqrt(graph, graph.add(variance, epsilon)));
}

/** Times gamma plus beta, if the layer has them. @param shape in which they are aligned with x */
function rescale(call: LayerCall, x: Tensor, shape: readonly number[]): Tensor {
  const { graph } = call;
  const scaled = isOn(call, 'scale') ? graph.mul(x, graph.reshape(call.weight('gamma'), shape)) : x;
  return isOn(call, 'center') ? graph.add(scaled, graph.reshape(call.weight('beta'), shape)) : scaled;
}

const constants = (graph: Graph, length: number, value: number): Tensor =>
  graph.constant(new Float32Array(length).fill(value), [length]);

/** Layers that normalize. */
export const normalizationLayers: LayerWriters = {
  BatchNormalization: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const last = x.shape.length - 1;
    const [axis = last] = axesOf(call, 'axis', x.shape.length);
    const order = x.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
    const channels = Number(x.shape[axis]);
    const parameters = [
      isOn(call, 'scale') ? call.weight('gamma') : constants(graph, channels, 1),
      isOn(call, 'center') ? call.weight('beta') : constants(graph, channels, 0),
      call.weight('moving_mean'),
      call.weight('moving_variance'),
    ];
    const normalized = graph.batchNorm(
      graph.transpose(x, order),
      parameters,
      numberOf(call, 'epsilon', 1e-3),
    );
    return graph.transpose(normalized, order);
  },
  LayerNormalization: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const axes = axesOf(call, 'axis', x.shape.length);
    const epsilon = numberOf(call, 'epsilon', 1e-3);
    if (graph.dialect.hasLayerNorm && axes.length === 1 && axes[0] === x.shape.length - 1) {
      const length = Number(x.shape.at(-1));
      const gamma = isOn(call, 'scale') ? call.weight('gamma') : constants(graph, length, 1);
      const beta = isOn(call, 'center') ? call.weight('beta') : constants(graph, length, 0);
      return graph.layerNorm(x, gamma, beta, epsilon);
    }
    const shape = x.shape.map((side, axis) => (axes.includes(axis) ? Number(side) : 1));
    return rescale(call, standardize(graph, x, axes, epsilon), shape);
  },
  GroupNormalization: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const [axis = 1] = axesOf(call, 'axis', x.shape.length);
    const channels = Number(x.shape[axis]);
    const configured = numberOf(call, 'groups', 32);
    const groups = configured === -1 ? channels : configured;
    const size = (sides: typeof x.shape): number =>
      sides.reduce<number>((product, side) => product * Number(side), 1);
    const [before, after] = [size(x.shape.slice(1, axis)), size(x.shape.slice(axis + 1))];
    const grouped = graph.reshape(x, [null, before, groups, (channels / groups) * after]);
    const normalized = standardize(graph, grouped, [1, 3], numberOf(call, 'epsilon', 1e-3));
    const rows = graph.reshape(normalized, [null, before, channels, after]);
    return graph.reshape(rescale(call, rows, [1, 1, channels, 1]), x.shape);
  },
  RMSNormalization: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const mean = graph.reduce('Mean', graph.mul(x, x), [-1], true);
    const factor = rsqrt(graph, graph.add(mean, numberOf(call, 'epsilon', 1e-6)));
    return graph.mul(graph.mul(x, factor), call.weight('scale'));
  },
  UnitNormalization: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const squares = graph.reduce('Sum', graph.mul(x, x), axesOf(call, 'axis', x.shape.length), true);
    // A vector of zeros stays one.
    return graph.mul(x, rsqrt(graph, graph.binary('Max', squares, 1e-24)));
  },
  Normalization: (call) => {
    const { graph, layer } = call;
    const x = inputOf(call);
    const axes = axesOf(call, 'axis', x.shape.length, []);
    const shape = x.shape.map((side, i) => (axes.includes(i) ? Number(side) : 1));
    const statistic = (key: string, change: (value: number) => number): Tensor => {
      const values = ([layer.config[key]].flat(9) as number[]).map(change);
      return values.length === 1 ? graph.scalar(values[0] as number) : graph.constant(values, shape);
    };
    const mean = statistic('mean', (value) => value);
    const deviation = statistic('variance', (value) => Math.max(Math.sqrt(value), 1e-7));
    if (layer.config.invert === true) return graph.add(mean, graph.mul(x, deviation));
    return graph.div(graph.sub(x, mean), deviation);
  },
};

type Mode = 'int' | 'one_hot' | 'multi_hot' | 'count';

/** Encoding of categories from 0. @param x [samples, ..., categories of a sample] */
function encode(graph: Graph, x: Tensor, depth: number, mode: Mode): Tensor {
  if (mode === 'int') return x;
  const categories = graph.constant(
    Float32Array.from({ length: boundedSize(depth) }, (_, i) => i),
    [depth],
  );
  const hot = graph.compare('Equal', graph.reshape(x, [...x.shape, 1]), categories);
  const axis = x.shape.length - 1;
  if (mode === 'one_hot')
    return x.shape.at(-1) === 1 ? graph.reshape(hot, [...x.shape.slice(0, -1), depth]) : hot;
  return graph.reduce(mode === 'count' ? 'Sum' : 'Max', hot, [axis], false);
}

/** Layers that encode categories. */
export const categoryLayers: LayerWriters = {
  CategoryEncoding: (call) => {
    const mode = nameOf(call, 'output_mode', 'multi_hot') as Mode;
    return encode(call.graph, inputOf(call), numberOf(call, 'num_tokens', 1), mode);
  },
  Discretization: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const boundaries = (call.layer.config.bin_boundaries ?? []) as number[];
    const limits = graph.constant(boundaries, [boundaries.length]);
    const reached = graph.compare('GreaterOrEqual', graph.reshape(x, [...x.shape, 1]), limits);
    const bins = graph.reduce('Sum', reached, [x.shape.length], false);
    return encode(graph, bins, boundaries.length + 1, nameOf(call, 'output_mode', 'int') as Mode);
  },
};
