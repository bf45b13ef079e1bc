import type { LayerConfig } from '../../../shared/model/keras-layer.ts';
import { snakeCase } from '../../../shared/model/layer-rules.ts';
import type { Graph, Tensor } from './graph.ts';

/** Call of a layer that becomes operations of a graph. */
export interface LayerCall {
  readonly graph: Graph;
  readonly layer: LayerConfig;
  readonly inputs: readonly Tensor[];
  /** Mask of each input, [samples, steps] with 1 for steps that count; null for an input without one. */
  readonly masks: readonly (Tensor | null)[];
  /** Beginning of the names of the layer's tensors. */
  readonly prefix: string;
  /** Tensor of the layer by its name within the layer: `kernel`. @throws Error if the model lacks it */
  weight(name: string): Tensor;
  /** Call of a layer within this one, without masks. @param prefix beginning of the names of its tensors */
  within(layer: LayerConfig, prefix: string, inputs: readonly Tensor[]): LayerCall;
  /** Outputs of a call of any layer. */
  compute(call: LayerCall): Tensor[];
}

/** Adds the operations of a layer to the graph. */
export type LayerWriter = (call: LayerCall) => Tensor | Tensor[];

/** Writers by the class of the layer. */
export type LayerWriters = Readonly<Record<string, LayerWriter>>;

/** Input of a layer with one input. */
export function inputOf({ inputs, layer }: LayerCall): Tensor {
  const [x] = inputs;
  if (x === undefined) throw new Error(`Layer ${String(layer.config.name)} has no input.`);
  return x;
}

/** Number among the settings of a layer. */
export const numberOf = ({ layer }: LayerCall, key: string, standard: number): number =>
  typeof layer.config[key] === 'number' ? layer.config[key] : standard;

/** Name among the settings of a layer, as Keras writes it. */
export const nameOf = ({ layer }: LayerCall, key: string, standard: string): string =>
  typeof layer.config[key] === 'string' ? snakeCase(layer.config[key]) : standard;

/** Whether a setting is not false. */
export const isOn = ({ layer }: LayerCall, key: string): boolean => layer.config[key] !== false;

/** A number for each of the axes of an image. */
export function numbersOf(
  { layer }: LayerCall,
  key: string,
  axes: number,
  standard: readonly number[] = [1],
): number[] {
  const values = [layer.config[key] ?? standard].flat() as number[];
  return Array.from({ length: axes }, (_, i) => values[i] ?? values[0] ?? 1);
}

/** Axes of a setting, counted from the first. */
export function axesOf(
  { layer }: LayerCall,
  key: string,
  rank: number,
  standard: readonly number[] = [-1],
): number[] {
  const axes = [layer.config[key] ?? standard].flat(2) as number[];
  return axes.map((axis) => (axis < 0 ? axis + rank : axis));
}

/** The sides of a shape without the samples. @throws Error if one is open */
export function sidesOf({ shape }: Tensor): number[] {
  return shape.slice(1).map((side) => {
    if (side === null) throw new Error('its input has an axis of open length');
    return side;
  });
}

/** Largest number of elements of a constant that a layer's settings make. */
const MAX_ELEMENTS = 2 ** 26;

/**
 * Number of elements, checked before a constant is made for them: a damaged file may have any settings.
 * @throws Error if there are too many
 */
export function boundedSize(...sides: readonly number[]): number {
  const size = sides.reduce((product, side) => product * side, 1);
  if (!(size <= MAX_ELEMENTS)) throw new Error(`its settings make ${size} elements of one constant`);
  return size;
}

/** Layer that passes its input on. */
export const passOn: LayerWriter = (call) => inputOf(call);

/** Applies a writer for images with the channels last to images of either order. */
export const withChannelsLast =
  (write: LayerWriter): LayerWriter =>
  (call) => {
    if (nameOf(call, 'data_format', 'channels_last') !== 'channels_first') return write(call);
    const { graph } = call;
    const x = inputOf(call);
    const axes = x.shape.map((_, axis) => axis);
    const last = graph.transpose(x, [0, ...axes.slice(2), 1]);
    const outputs = [write({ ...call, inputs: [last] })].flat();
    return outputs.map((output) => {
      const order = output.shape.map((_, axis) => axis);
      return graph.transpose(output, [0, order.length - 1, ...order.slice(1, -1)]);
    });
  };
