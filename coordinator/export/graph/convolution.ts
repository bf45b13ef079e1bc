import { transposedLength } from '../../../shared/engine/layers/convolve.ts';
import type { Graph, Pads, Side, Tensor } from './graph.ts';
import {
  inputOf,
  isOn,
  nameOf,
  numberOf,
  numbersOf,
  sidesOf,
  withChannelsLast,
  type LayerCall,
  type LayerWriter,
  type LayerWriters,
} from './layer-call.ts';
import { activateLayer } from './activations.ts';

/** Zeros around the sides of images with which windows keep their number, as TensorFlow's padding 'same' adds them. */
export function samePads(
  sides: readonly Side[],
  size: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): Pads {
  return sides.map((side, i) => {
    const stride = strides[i] ?? 1;
    const reach = ((size[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
    const needed = (Math.ceil(Number(side) / stride) - 1) * stride + reach - Number(side);
    const total = Math.max(0, needed);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
}

interface Settings {
  readonly size: number[];
  readonly strides: number[];
  readonly dilations: number[];
  readonly pads: Pads;
}

/** Settings of a convolution of some axes. */
export function settingsOf(call: LayerCall, axes: number, sides: readonly Side[]): Settings {
  const size = numbersOf(call, 'kernel_size', axes);
  const strides = numbersOf(call, 'strides', axes);
  const dilations = numbersOf(call, 'dilation_rate', axes);
  const padding = nameOf(call, 'padding', 'valid');
  const none: Pads = size.map(() => [0, 0]);
  const causal: Pads = [[(dilations[0] ?? 1) * ((size[0] ?? 1) - 1), 0]];
  const pads =
    padding === 'same' ? samePads(sides, size, strides, dilations) : padding === 'causal' ? causal : none;
  return { size, strides, dilations, pads };
}

const biasOf = (call: LayerCall): Tensor | null => (isOn(call, 'use_bias') ? call.weight('bias') : null);

const ones = (axes: number): number[] => Array.from({ length: axes }, () => 1);

/** Applies the activation where the channels are in the order that the layer has: a softmax depends on it. */
const convolution = (write: (call: LayerCall) => Tensor): LayerWriter => {
  const computed = withChannelsLast(write);
  return (call) => activateLayer(call, [computed(call)].flat()[0] as Tensor);
};

const plain = (axes: number): LayerWriter =>
  convolution((call) => {
    const x = inputOf(call);
    const { strides, dilations, pads } = settingsOf(call, axes, x.shape.slice(1, -1));
    const groups = numberOf(call, 'groups', 1);
    return call.graph.conv(x, call.weight('kernel'), biasOf(call), { strides, dilations, pads, groups });
  });

/** Kernel of a depthwise convolution, [...sides, channels, multiplier], as that of a convolution with a group for each channel. */
function depthwiseKernel(graph: Graph, kernel: Tensor): Tensor {
  const { shape, constant } = kernel;
  const [channels, multiplier] = [Number(shape.at(-2)), Number(shape.at(-1))];
  const sides = [...shape.slice(0, -2), 1, channels * multiplier] as number[];
  return graph.constant(constant?.values as Float32Array, sides, constant?.name ?? null);
}

const depthwise = (axes: number, isSeparable: boolean): LayerWriter =>
  convolution((call) => {
    const { graph } = call;
    const x = inputOf(call);
    const { strides, dilations, pads } = settingsOf(call, axes, x.shape.slice(1, -1));
    const how = { strides, dilations, pads, groups: Number(x.shape.at(-1)) };
    const kernel = depthwiseKernel(graph, call.weight('depthwise_kernel'));
    if (!isSeparable) return graph.conv(x, kernel, biasOf(call), how);
    const channels = graph.conv(x, kernel, null, how);
    const point = {
      strides: ones(axes),
      dilations: ones(axes),
      pads: how.pads.map(() => [0, 0] as const),
      groups: 1,
    };
    return graph.conv(channels, call.weight('pointwise_kernel'), biasOf(call), point);
  });

const transposed = (axes: number): LayerWriter =>
  convolution((call) => {
    const x = inputOf(call);
    const { size, strides } = settingsOf(call, axes, x.shape.slice(1, -1));
    const padding = nameOf(call, 'padding', 'valid') === 'same' ? 'same' : 'valid';
    const extra =
      (call.layer.config.output_padding ?? null) === null ? null : numbersOf(call, 'output_padding', axes);
    const sides = sidesOf(x)
      .slice(0, -1)
      .map((side, i) => transposedLength(side, size[i] ?? 1, strides[i] ?? 1, padding, extra?.[i] ?? null));
    // Zeros that the convolution from outputs to inputs adds.
    const pads = sides.map((side, i): [number, number] => {
      const reach = (Number(x.shape[i + 1]) - 1) * (strides[i] ?? 1) + (size[i] ?? 1);
      const total = padding === 'same' ? Math.max(0, reach - side) : 0;
      return [Math.floor(total / 2), Math.ceil(total / 2)];
    });
    return call.graph.convTranspose(x, call.weight('kernel'), biasOf(call), { strides, pads, sides });
  });

/** Convolutions. */
export const convolutionLayers: LayerWriters = {
  Conv1D: plain(1),
  Conv2D: plain(2),
  Conv3D: plain(3),
  Conv1DTranspose: transposed(1),
  Conv2DTranspose: transposed(2),
  Conv3DTranspose: transposed(3),
  DepthwiseConv1D: depthwise(1, false),
  DepthwiseConv2D: depthwise(2, false),
  SeparableConv1D: depthwise(1, true),
  SeparableConv2D: depthwise(2, true),
};
