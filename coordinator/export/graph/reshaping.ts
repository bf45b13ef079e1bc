import { interpolationMatrix, resizeMatrix } from '../../../shared/engine/layers/resizing.ts';
import type { Graph, Pads, Side, Tensor } from './graph.ts';
import {
  boundedSize,
  inputOf,
  nameOf,
  numberOf,
  numbersOf,
  passOn,
  sidesOf,
  type LayerCall,
  type LayerWriter,
  type LayerWriters,
} from './layer-call.ts';

/** Multiplies an axis with a matrix [length, new length]. */
export function alongAxis(graph: Graph, x: Tensor, axis: number, matrix: Tensor): Tensor {
  const last = x.shape.length - 1;
  // The exchange of two axes is its own inverse.
  const order = x.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
  return graph.transpose(graph.dense(graph.transpose(x, order), matrix, null), order);
}

const firstAxis = (call: LayerCall): number =>
  nameOf(call, 'data_format', 'channels_last') === 'channels_first' ? 2 : 1;

/** Numbers at the start and at the end of each axis: n, [n, m, ...] or [[n, m], ...]. */
function pairsOf(value: unknown, axes: number): Pads {
  const values = Array.isArray(value) ? (value as unknown[]) : Array.from({ length: axes }, () => value);
  if (axes === 1) {
    const [first = 1, last = first] = values.flat() as number[];
    return [[first, last]];
  }
  return values.map((one) => {
    const [first = 1, last = first] = [one].flat() as number[];
    return [first, last];
  });
}

const padding =
  (axes: number): LayerWriter =>
  (call) => {
    const x = inputOf(call);
    const pairs = pairsOf(call.layer.config.padding ?? 1, axes);
    return call.graph.pad(
      x,
      x.shape.map((_, axis) => pairs[axis - firstAxis(call)] ?? [0, 0]),
    );
  };

const cropping =
  (axes: number): LayerWriter =>
  (call) =>
    pairsOf(call.layer.config.cropping ?? 1, axes).reduce((x, [before, after], i) => {
      const axis = firstAxis(call) + i;
      return call.graph.slice(x, axis, before, Number(x.shape[axis]) - after);
    }, inputOf(call));

/** Repeats each element of an axis. */
function repeat(graph: Graph, x: Tensor, axis: number, times: number): Tensor {
  const length = boundedSize(Number(x.shape[axis]), times);
  const indices = Array.from({ length }, (_, i) => Math.floor(i / times));
  return times === 1 ? x : graph.gather(x, graph.integers(indices), axis);
}

const upSampling =
  (axes: number): LayerWriter =>
  (call) => {
    const { graph } = call;
    const interpolation = nameOf(call, 'interpolation', 'nearest');
    return numbersOf(call, 'size', axes, [2]).reduce((x, factor, i) => {
      const axis = firstAxis(call) + i;
      if (interpolation === 'nearest') return repeat(graph, x, axis, factor);
      const length = Number(x.shape[axis]);
      boundedSize(length, length, factor);
      const weights = interpolationMatrix(length, factor, interpolation);
      return alongAxis(graph, x, axis, graph.constant(weights, [length, length * factor]));
    }, inputOf(call));
  };

/** Fills in the open size of a shape without the samples. */
export function fillShape(target: readonly (number | null)[], sides: readonly number[]): number[] {
  const size = sides.reduce((product, side) => product * side, 1);
  const isOpen = (side: number | null): boolean => side === null || side < 0;
  const known = target.reduce<number>((product, side) => product * (isOpen(side) ? 1 : Number(side)), 1);
  return target.map((side) => (isOpen(side) ? size / known : Number(side)));
}

/** Height and width of a layer's output, with their axes. */
const sizedAxes = (call: LayerCall): [number, number][] => [
  [firstAxis(call), numberOf(call, 'height', 1)],
  [firstAxis(call) + 1, numberOf(call, 'width', 1)],
];

/** Layers that pick, move and repeat elements, and those that change nothing after training. */
export const reshapingLayers: LayerWriters = {
  Flatten: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const axes = x.shape.map((_, axis) => axis);
    const moved = firstAxis(call) === 2 && axes.length > 2 ? graph.transpose(x, [0, ...axes.slice(2), 1]) : x;
    return graph.reshape(moved, [null, sidesOf(x).reduce((product, side) => product * side, 1)]);
  },
  Reshape: (call) => {
    const x = inputOf(call);
    const target = call.layer.config.target_shape as (number | null)[];
    return call.graph.reshape(x, [null, ...fillShape(target, sidesOf(x))]);
  },
  Permute: (call) => call.graph.transpose(inputOf(call), [0, ...(call.layer.config.dims as number[])]),
  RepeatVector: (call) => {
    const { graph } = call;
    const x = inputOf(call);
    const [samples = null, length = null]: Side[] = [...x.shape];
    const row = graph.reshape(x, [samples, 1, length]);
    return repeat(graph, row, 1, numberOf(call, 'n', 1));
  },
  ZeroPadding1D: padding(1),
  ZeroPadding2D: padding(2),
  ZeroPadding3D: padding(3),
  Cropping1D: cropping(1),
  Cropping2D: cropping(2),
  Cropping3D: cropping(3),
  UpSampling1D: upSampling(1),
  UpSampling2D: upSampling(2),
  UpSampling3D: upSampling(3),
  Resizing: (call) => {
    const name = nameOf(call, 'interpolation', 'bilinear');
    return sizedAxes(call).reduce((x, [axis, length]) => {
      const from = Number(x.shape[axis]);
      boundedSize(from, length);
      const matrix = call.graph.constant(resizeMatrix(from, length, name), [from, length]);
      return alongAxis(call.graph, x, axis, matrix);
    }, inputOf(call));
  },
  CenterCrop: (call) =>
    sizedAxes(call).reduce((x, [axis, length]) => {
      const start = Math.floor((Number(x.shape[axis]) - length) / 2);
      return call.graph.slice(x, axis, start, start + length);
    }, inputOf(call)),

  ...Object.fromEntries(
    (
      'Identity Dropout KeyedDropout AlphaDropout GaussianDropout GaussianNoise RandomBrightness RandomContrast RandomCrop ' +
      'RandomFlip RandomRotation RandomTranslation RandomZoom'
    )
      .split(' ')
      .map((name): [string, LayerWriter] => [name, passOn]),
  ),
};
