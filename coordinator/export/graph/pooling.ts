import type { Graph, Tensor } from './graph.ts';
import {
  boundedSize,
  inputOf,
  nameOf,
  numbersOf,
  withChannelsLast,
  type LayerWriter,
  type LayerWriters,
} from './layer-call.ts';
import { samePads } from './convolution.ts';
import { alongAxis } from './reshaping.ts';

type Kind = 'Average' | 'Max';

const pooling = (kind: Kind, axes: number): LayerWriter =>
  withChannelsLast((call) => {
    const x = inputOf(call);
    const size = numbersOf(call, 'pool_size', axes, [2]);
    const strides = numbersOf(call, 'strides', axes, size);
    const sides = x.shape.slice(1, -1);
    const isSame = nameOf(call, 'padding', 'valid') === 'same';
    const dilations = size.map(() => 1);
    const pads = isSame ? samePads(sides, size, strides, dilations) : size.map(() => [0, 0] as const);
    return call.graph.pool(x, { kind, size, strides, pads });
  });

const globalPooling =
  (kind: Kind, axes: number): LayerWriter =>
  (call) => {
    const { graph, layer, masks } = call;
    const x = inputOf(call);
    const first = nameOf(call, 'data_format', 'channels_last') === 'channels_first' ? 2 : 1;
    const pooled = Array.from({ length: axes }, (_, i) => first + i);
    const keepDims = layer.config.keepdims === true;
    const [mask = null] = masks;
    if (kind === 'Max') return graph.reduce('Max', x, pooled, keepDims);
    if (axes > 1 || mask === null) return graph.reduce('Mean', x, pooled, keepDims);
    // The mean of the steps that count.
    const counts = graph.reshape(mask, [...mask.shape, 1]);
    const sum = graph.reduce('Sum', graph.mul(x, counts), [1], keepDims);
    return graph.div(sum, graph.reduce('Sum', counts, [1], keepDims));
  };

/** Window of each output of an axis: the first position, and the one behind the last. */
const windowsOf = (length: number, outputs: number): [number, number][] =>
  Array.from({ length: outputs }, (_, i) => [
    Math.floor((i * length) / outputs),
    Math.ceil(((i + 1) * length) / outputs),
  ]);

/** Pool of windows of different sizes along an axis. */
function poolWindows(graph: Graph, x: Tensor, kind: Kind, axis: number, outputs: number): Tensor {
  const length = Number(x.shape[axis]);
  boundedSize(length, outputs);
  const windows = windowsOf(length, outputs);
  if (kind === 'Max') {
    const parts = windows.map(([from, to]) =>
      graph.reduce('Max', graph.slice(x, axis, from, to), [axis], true),
    );
    return graph.concat(parts, axis);
  }
  const weights = new Float32Array(length * outputs);
  windows.forEach(([from, to], i) => {
    for (let at = from; at < to; at++) weights[at * outputs + i] = 1 / (to - from);
  });
  return alongAxis(graph, x, axis, graph.constant(weights, [length, outputs]));
}

const adaptivePooling =
  (kind: Kind, axes: number): LayerWriter =>
  (call) => {
    const first = nameOf(call, 'data_format', 'channels_last') === 'channels_first' ? 2 : 1;
    return numbersOf(call, 'output_size', axes).reduce(
      (x, outputs, i) => poolWindows(call.graph, x, kind, first + i, outputs),
      inputOf(call),
    );
  };

/** Pools of each kind and number of axes. */
export const poolingLayers: LayerWriters = Object.fromEntries(
  (['Average', 'Max'] as const).flatMap((kind) =>
    [1, 2, 3].flatMap((axes): [string, LayerWriter][] => [
      [`${kind}Pooling${axes}D`, pooling(kind, axes)],
      [`Global${kind}Pooling${axes}D`, globalPooling(kind, axes)],
      [`Adaptive${kind}Pooling${axes}D`, adaptivePooling(kind, axes)],
    ]),
  ),
);
