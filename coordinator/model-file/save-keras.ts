import { crc32 } from 'node:zlib';
import type { Job } from '../../shared/model/job.ts';
import { withTensorRules } from './tensor-rules.ts';
import {
  asArray,
  copyModel,
  isLayer,
  isModel,
  layerLabel,
  layersOf,
  ownEntry,
  walkLayers,
  type LayerConfig,
} from '../../shared/model/keras-layer.ts';
import { findMergingAll } from '../../shared/model/keras3-masks.ts';
import { OPERATION, operationModule } from '../../shared/model/operations.ts';
import { expandTopology } from '../../shared/model/expand-topology.ts';
import { assignUniqueNames, kerasName } from '../../shared/model/layer-calls.ts';
import { CALL_SETTINGS, kerasCalls, operationConfig } from './keras-calls.ts';
import { writeHdf5, type Hdf5Tensor } from './hdf5.ts';
import { kerasTensors } from './keras-tensors.ts';
import type { NamedWeights } from './weights-file.ts';

/** Version of Keras whose format the file has. */
const KERAS_VERSION = '3.15.1';

/** Settings that Keras 3 does not have, or that are written elsewhere. They do not change what a model computes. */
const DROPPED_KEYS: ReadonlySet<string> = new Set([
  'batch_input_shape',
  'build_input_shape',
  'fused',
  'implementation',
  'input_length',
  'mask_merge',
  'num_constants',
  'optional',
  'quantization_config',
  'query_shape',
  'key_shape',
  'value_shape',
  'softmax_robust_masking',
  'ragged',
  'renorm',
  'renorm_clipping',
  'renorm_momentum',
  'rms_scaling',
  'sparse',
  'time_major',
  'type_spec',
  'unroll',
  'virtual_batch_size',
]);

/** Layers whose initializers are not settings in Keras. */
const WITHOUT_INITIALIZERS: ReadonlySet<string> = new Set([
  'AdditiveAttention',
  'Attention',
  'RMSNormalization',
]);

/** Settings of a ReLU. */
const RELU_KEYS: readonly string[] = ['max_value', 'negative_slope', 'threshold'];

/** Settings that Keras 3 has under another name, for each class. */
const RENAMED_KEYS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  InputLayer: { batch_input_shape: 'batch_shape' },
  LeakyReLU: { alpha: 'negative_slope' },
};

/**
 * Bytes of a .keras file, which load_model of Keras 3 reads, with the regularizers and constraints of the job.
 * @param weights all tensors of the model by name, in the order of the layout
 * @param compileConfig settings of model.compile() in Keras 3, so that fit() can be called. @default none
 * @throws Error with a sentence if Keras 3 has no such layer, or a tensor is missing
 */
export async function kerasArchive(
  { topology, optimizer }: Pick<Job, 'topology' | 'optimizer'>,
  weights: NamedWeights,
  savedAt: Date,
  compileConfig: Readonly<Record<string, unknown>> | null = null,
): Promise<Buffer> {
  const withRules = withTensorRules(topology, [...weights.keys()], optimizer);
  const model = copyModel(expandTopology(withRules));
  const tensors = new Map<string, Hdf5Tensor>();
  const known = kerasTensors(topology);
  const unknown = [...weights.keys()].find((weight) => known.every(({ name }) => name !== weight));
  if (unknown !== undefined) {
    throw new Error(
      `${unknown} belongs to a layer that cannot be written for Keras 3 yet. The model of TensorFlow.js in the same folder has it.`,
    );
  }
  for (const { name, path } of known) {
    const tensor = weights.get(name);
    if (tensor === undefined) throw new Error(`The model has no weights of ${name}.`);
    tensors.set(path, tensor);
  }
  const merging = findMergingAll(model);
  if (merging !== undefined) {
    throw new Error(
      `${layerLabel(merging)} cannot be written for Keras 3, which merges masks in another way than Keras 2. ` +
        'The model of TensorFlow.js in the same folder has it.',
    );
  }
  adaptNames(model);
  const config = { ...toKeras3(model), compile_config: compileConfig, build_config: { input_shape: null } };
  const metadata = {
    keras_version: KERAS_VERSION,
    date_saved: savedAt.toISOString().slice(0, 19).replace('T', '@'),
  };
  return storedZip({
    'metadata.json': Buffer.from(JSON.stringify(metadata)),
    'config.json': Buffer.from(withFloats(JSON.stringify(config))),
    'model.weights.h5': await writeHdf5({ groups: ['layers', 'vars'], tensors }),
  });
}

/**
 * Topology of a model as to_json() of Keras 3 has it.
 * @throws Error with a sentence if Keras 3 has no such layer
 * @example
 * JSON.stringify(kerasTopology(job.topology));
 */
export function kerasTopology(topology: Job['topology']): object {
  const model = copyModel(expandTopology(topology));
  adaptNames(model);
  return toKeras3(model);
}

/** Keys whose numbers Keras rejects if they are whole numbers. */
const FLOAT_KEYS =
  /"((?:initial_|end_)?learning_rate|warmup_target|momentum|ema_momentum|weight_decay|clipnorm|global_clipnorm|clipvalue|beta|threshold)":(\d+)(?=[,}])/g;

/** JSON in which numbers of FLOAT_KEYS have a point: 1.0 for 1. */
const withFloats = (json: string): string => json.replace(FLOAT_KEYS, '"$1":$2.0');

/** Gives models and layers names that Keras 3 accepts, and counts calls as it does. */
function adaptNames(model: LayerConfig): void {
  model.config.name = kerasName(String(model.config.name));
  assignUniqueNames(model, kerasName);
  renumberModelCalls(model);
}

/** Counts calls of nested models as Keras 3 does; the inverse is in convert-keras3.ts. */
function renumberModelCalls(model: LayerConfig): void {
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) {
    const named = (isCounted: (layer: LayerConfig) => boolean): ReadonlySet<unknown> =>
      new Set(
        layersOf(outer)
          .filter(isCounted)
          .map(({ config }) => config.name),
      );
    const discount =
      (names: ReadonlySet<unknown>) =>
      (tensor: unknown): void => {
        if (Array.isArray(tensor) && names.has(tensor[0])) tensor[1] = Number(tensor[1]) - 1;
      };
    const models = named(isModel);
    asArray(outer.config.output_layers).forEach(
      discount(named(({ class_name: name }) => name === 'Sequential')),
    );
    for (const { inbound_nodes: nodes } of layersOf(outer))
      asArray(nodes).forEach((node) => asArray(node).forEach(discount(models)));
  }
}

interface Keras3Object {
  readonly module: string;
  readonly class_name: string;
  readonly config: Record<string, unknown>;
  readonly registered_name: string | null;
  readonly name?: unknown;
  readonly inbound_nodes?: unknown;
}

function toKeras3(layer: LayerConfig): Keras3Object {
  const { class_name: className, config, inbound_nodes: nodes } = layer;
  rejectOtherMeaning(layer);
  if (className === OPERATION) {
    const operation = String(config.operation);
    return {
      module: operationModule(operation),
      class_name: operation,
      config: operationConfig(layer),
      registered_name: operation,
      name: config.name,
      inbound_nodes: kerasCalls(layer),
    };
  }
  const converted: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    const name = ownEntry(ownEntry(RENAMED_KEYS, className) ?? {}, key);
    if (name !== undefined) converted[name] = value;
    // Only convolutions that Keras 3 can divide into groups have more than one; other layers have another default.
    else if (key === 'groups' && value === 1 && className !== 'GroupNormalization') continue;
    else if (WITHOUT_INITIALIZERS.has(className) && key.endsWith('_initializer')) continue;
    else if (!DROPPED_KEYS.has(key) && !CALL_SETTINGS.has(key)) converted[key] = convertValue(key, value);
  }
  // Unlike Keras, TensorFlow.js has it only if it is set.
  if (className === 'GRU' || className === 'GRUCell') converted.reset_after ??= false;
  if (isModel(layer)) convertEnds(layer, converted);
  const call = nodes === undefined ? {} : { name: config.name, inbound_nodes: kerasCalls(layer) };
  const isFunctional = isModel(layer) && className !== 'Sequential';
  return {
    module: isFunctional ? 'keras.src.models.functional' : isModel(layer) ? 'keras' : 'keras.layers',
    class_name: isFunctional ? 'Functional' : className,
    config: converted,
    registered_name: isFunctional ? 'Functional' : null,
    ...call,
  };
}

/** @throws Error if Keras 3 does not have a layer, or computes it otherwise */
function rejectOtherMeaning(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  const activation = [config.activation, config.recurrent_activation].find((name) =>
    /^(?:hard_?sigmoid|gelu_tanh)$/i.test(String(name)),
  );
  const isNegative = className === 'ReLU' && RELU_KEYS.some((key) => Number(config[key]) < 0);
  if (activation === undefined && className !== 'ThresholdedReLU' && !isNegative) return;
  const reason = isNegative
    ? 'refuses negative settings of it.'
    : activation === undefined
      ? 'does not have this layer.'
      : activation === 'gelu_tanh'
        ? 'has no name for the approximate gelu.'
        : 'has another function by the name hard_sigmoid.';
  throw new Error(
    `${layerLabel(layer)} cannot be written for Keras 3, which ${reason}` +
      ' The model of TensorFlow.js in the same folder has it.',
  );
}

function convertValue(key: string, value: unknown): unknown {
  if (value === 'hard_sigmoid_keras3') return 'hard_sigmoid';
  if (key === 'target_shape') return asArray(value).map((size) => size ?? -1);
  const [, kind] = /_(initializer|regularizer|constraint)$/.exec(key) ?? [];
  if (kind !== undefined && isLayer(value)) {
    return {
      module: `keras.${kind}s`,
      class_name: value.class_name,
      config: value.config,
      registered_name: null,
    };
  }
  if (isLayer(value)) return toKeras3(value);
  return Array.isArray(value) ? value.map((one: unknown) => (isLayer(one) ? toKeras3(one) : one)) : value;
}

/** Gives a Sequential model a layer for its input, and a functional model its tensors instead of lists of one. */
function convertEnds(model: LayerConfig, converted: Record<string, unknown>): void {
  if (model.class_name === 'Sequential') {
    const [first] = layersOf(model);
    const shape = first?.config.batch_input_shape;
    if (first === undefined || first.class_name === 'InputLayer' || !Array.isArray(shape)) return;
    const name = `${String(first.config.name)}_input`;
    const input = { class_name: 'InputLayer', config: { name, batch_input_shape: shape, dtype: 'float32' } };
    converted.layers = [toKeras3(input), ...asArray(converted.layers)];
    return;
  }
  for (const key of ['input_layers', 'output_layers']) {
    const tensors = asArray(converted[key]);
    if (tensors.length === 1) [converted[key]] = tensors;
  }
}

/** Zip archive of files that are not compressed, as Keras writes it (APPNOTE.TXT, 4.3). */
function storedZip(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const [name, data] of Object.entries(files)) {
    const path = Buffer.from(name);
    // Both kinds of header agree from 'version needed' to 'extra length'.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    // The first day that the format can express.
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(path.length, 22);
    const local = [Buffer.from('PK\x03\x04'), common, path, data];
    const trailer = Buffer.alloc(14);
    trailer.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00'), common, trailer, path);
    parts.push(...local);
    offset += local.reduce((sum, part) => sum + part.length, 0);
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(
    directory.reduce((sum, part) => sum + part.length, 0),
    12,
  );
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}
