import type { Topology } from './job.ts';
import { asArray, copyModel, isModel, layersOf, type LayerConfig } from './keras-layer.ts';
import { sizeOf } from './layout.ts';

/** Name of the added input layer if the model's own input has another shape than the samples. */
const SAMPLES_LAYER = 'samples';

/**
 * Fits the input of a model to the shape of the data if the conversion is unambiguous: unknown sizes, one more or one less axis
 * of length 1, flat input, or channels first.
 * @param topology as expandTopology returns it
 * @param sampleShape of the data: [28, 28, 1]
 * @returns null if the shapes do not match, or if the model does not have exactly one input
 */
export function fitInput(topology: Topology, sampleShape: readonly number[]): Topology | null {
  const model = copyModel(topology);
  const input = inputLayer(model);
  if (input === null) return null;
  const wanted = asArray(input.config.batch_input_shape).slice(1);
  const conversion = findConversion(wanted, sampleShape);
  if (conversion === null) return null;
  if (conversion.className === null) input.config.batch_input_shape = [null, ...sampleShape];
  else insertConversion(model, input, conversion.className, conversion.config, sampleShape);
  return { ...model };
}

/**
 * Fits the inputs of a functional model to those of the data, which have the same order: sizes that the model leaves open are
 * filled in.
 * @returns null if the shapes do not match
 */
export function fitInputs(
  topology: Topology,
  inputs: readonly { readonly shape: readonly number[] }[],
): Topology | null {
  const model = copyModel(topology);
  const references = asArray(model.config.input_layers);
  if (model.class_name === 'Sequential' || references.length !== inputs.length) return null;
  for (const [i, { shape }] of inputs.entries()) {
    const [name] = asArray(references[i]);
    const layer = layersOf(model).find(({ config }) => config.name === name);
    const wanted = asArray(layer?.config.batch_input_shape).slice(1);
    if (layer === undefined || wanted.length !== shape.length) return null;
    if (!wanted.every((size, axis) => size === null || size === shape[axis])) return null;
    layer.config.batch_input_shape = [null, ...shape];
  }
  return { ...model };
}

interface Conversion {
  /** Class of a layer between the samples and the model; null if the model needs none. */
  readonly className: 'Reshape' | 'Permute' | null;
  readonly config: Record<string, unknown>;
}

function findConversion(wanted: readonly unknown[], data: readonly number[]): Conversion | null {
  const same = { className: null, config: {} };
  const matches = (size: unknown, i: number): boolean => size === null || size === data[i];
  if (wanted.length === data.length && wanted.every(matches)) return same;
  if (!wanted.every((size): size is number => typeof size === 'number')) return null;
  const [height, width, channels] = data;
  if (data.length === 3 && String(wanted) === String([channels, height, width])) {
    return { className: 'Permute', config: { dims: [3, 1, 2] } };
  }
  const withoutOnes = (shape: readonly number[]): string => String(shape.filter((size) => size !== 1));
  const flat = wanted.length === 1 && wanted[0] === sizeOf(data);
  if (!flat && withoutOnes(wanted) !== withoutOnes(data)) return null;
  return { className: 'Reshape', config: { target_shape: wanted } };
}

/** Layer that receives the model's only input; null if there is none or more than one. */
function inputLayer(model: LayerConfig): LayerConfig | null {
  const layers = layersOf(model);
  if (model.class_name === 'Sequential') {
    const [first] = layers;
    if (first === undefined) return null;
    const nested = isModel(first) ? inputLayer(first) : first;
    if (nested === null || !Array.isArray(nested.config.batch_input_shape)) return null;
    if (nested === first) return first;
    // tfjs reads the input's shape from the first layer, not from layers nested in it.
    const { batch_input_shape } = nested.config;
    const input = { class_name: 'InputLayer', config: { name: SAMPLES_LAYER, batch_input_shape } };
    model.config.layers = [input, ...layers];
    return input;
  }
  const inputs = asArray(model.config.input_layers);
  if (inputs.length !== 1) return null;
  const [name] = asArray(inputs[0]);
  const found = layers.find((layer) => layer.config.name === name);
  return found !== undefined && Array.isArray(found.config.batch_input_shape) ? found : null;
}

/** Inserts a conversion between samples and model. In a functional model it takes the place and name of the input. */
function insertConversion(
  model: LayerConfig,
  input: LayerConfig,
  className: string,
  config: Record<string, unknown>,
  sampleShape: readonly number[],
): void {
  const batch_input_shape = [null, ...sampleShape];
  if (model.class_name === 'Sequential') {
    const rest = layersOf(model).filter((layer) => layer !== input || layer.class_name !== 'InputLayer');
    delete input.config.batch_input_shape;
    const name = `${SAMPLES_LAYER}_${className.toLowerCase()}`;
    model.config.layers = [
      { class_name: className, config: { name, ...config, batch_input_shape } },
      ...rest,
    ];
    return;
  }
  const samples = {
    class_name: 'InputLayer',
    config: { name: SAMPLES_LAYER, batch_input_shape, dtype: 'float32' },
  };
  const { name } = input.config;
  input.class_name = className;
  input.config = { name, ...config };
  input.inbound_nodes = [[[SAMPLES_LAYER, 0, 0, {}]]];
  model.config.layers = [{ ...samples, name: SAMPLES_LAYER, inbound_nodes: [] }, ...layersOf(model)];
  model.config.input_layers = [[SAMPLES_LAYER, 0, 0]];
}

/** Layers that change no value except for padding, cropping and moving pixels. */
const SHAPE_LAYERS: ReadonlySet<string> = new Set([
  'InputLayer',
  'Reshape',
  'Permute',
  'Flatten',
  'ZeroPadding2D',
  'Cropping2D',
  'RandomFlip',
  'RandomRotation',
  'RandomTranslation',
  'RandomZoom',
]);

/** Largest scale of a Rescaling that expects bytes, as 1 / 255 and 1 / 127.5 do. */
const MAX_BYTE_SCALE = 0.02;

/**
 * Whether the model scales bytes itself: its first layer that changes values is a Rescaling by about 1 / 255.
 * @param topology as expandTopology returns it
 */
export function takesBytes(topology: Topology): boolean {
  const model = copyModel(topology);
  let layers = layersOf(model);
  if (model.class_name !== 'Sequential') {
    layers = [];
    let next = asArray(asArray(model.config.input_layers)[0])[0];
    // Follow the input while exactly one layer uses it.
    for (;;) {
      const users = layersOf(model).filter((layer) =>
        JSON.stringify(layer.inbound_nodes ?? []).includes(JSON.stringify(next)),
      );
      const [user] = users;
      if (users.length !== 1 || user === undefined || layers.includes(user)) break;
      layers.push(user);
      next = user.config.name;
    }
  }
  const first = layers.find(({ class_name: className }) => !SHAPE_LAYERS.has(className));
  return first?.class_name === 'Rescaling' && Math.abs(Number(first.config.scale)) <= MAX_BYTE_SCALE;
}
