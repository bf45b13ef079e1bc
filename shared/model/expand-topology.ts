import { checkCallArguments, freezeNestedLayers, assignUniqueNames } from './layer-calls.ts';
import { takesBytes } from './fit-input.ts';
import { expandInitializer } from './initializers.ts';
import type { Topology } from './job.ts';
import { convertKeras3, isKeras3, withSnakeKeys } from './convert-keras3.ts';
import { normalizeConfigs } from './normalize-config.ts';
import {
  copyModel,
  ownEntry,
  isLayer,
  isModel,
  layerLabel,
  nestedLayers,
  layersOf,
  walkLayers,
  type LayerConfig,
} from './keras-layer.ts';
import { rulesOf } from './layer-table.ts';
import { rejectUnkeyedNoise } from './topology.ts';

/** What a person can do about a class that is not supported, where there is something better than leaving it out. */
const ALTERNATIVES: Readonly<Record<string, string>> = {
  Lambda: 'It holds Python code, which cannot travel. Use layers of Keras.',
  TFOpLambda:
    'It stands for an operation on tensors between layers. Use a layer of Keras (Add, Multiply, Rescaling).',
  SlicingOpLambda: 'It stands for an operation on tensors between layers. Use Cropping2D.',
  Subtract: 'Use Rescaling with scale -1 and Add.',
  Masking: 'Masks are not supported. Leave it out.',
  Normalization: 'Use Rescaling.',
  CenterCrop: 'Use Cropping2D.',
};

/**
 * Reads a model's topology: everything that it says is brought into one form (that of Keras 2, keys in snake_case, every
 * initializer written out, each layer with a name of its own), in which tfjs-layers builds what Keras would. What would
 * be ignored or computed otherwise is refused. A topology in that form comes back as it is.
 * @throws Error naming layer and key
 */
export function expandTopology(topology: Topology): Topology {
  const version = topology.keras_version ?? topology.kerasVersion;
  const model = withSnakeKeys(copyModel(unwrapModelConfig(topology))) as LayerConfig;
  if (!isModel(model))
    throw new Error(`The topology is a ${model.class_name}, not a Sequential or functional model.`);
  const keras3 = isKeras3(model, version);
  rejectSharedLayers(model);
  if (keras3) convertKeras3(model);
  normalizeConfigs(model);
  useFloat32Input(model);
  rejectUnsupported(model);
  freezeNestedLayers(model);
  checkCallArguments(model);
  for (const layer of walkLayers(model)) fillDefaults(layer);
  assignUniqueNames(model);
  return { class_name: model.class_name, config: model.config };
}

const unwrapModelConfig = (topology: Topology): Topology => {
  const inside = topology.model_config ?? topology.modelConfig;
  return inside === undefined ? topology : { model_config: inside };
};

/** A model that scales bytes gets them as float32; their values are the same. */
function useFloat32Input(model: LayerConfig): void {
  if (!takesBytes({ ...model })) return;
  for (const { class_name: className, config } of layersOf(model)) {
    if (className === 'InputLayer' && /^u?int/.test(String(config.dtype))) config.dtype = 'float32';
  }
}

/** @throws Error if two places of the topology stand for one layer with one set of weights */
function rejectSharedLayers(model: LayerConfig): void {
  const seen = new Map<unknown, LayerConfig>();
  for (const layer of walkLayers(model)) {
    const { shared_object_id: id } = layer as { shared_object_id?: unknown };
    if (id === undefined || id === null) continue;
    if (seen.has(id) && layer.class_name !== 'InputLayer') {
      throw new Error(
        `${layerLabel(layer)} is shared by two models within the model, which is not supported.`,
      );
    }
    seen.set(id, layer);
  }
}

/** @throws Error naming layer and key if the model asks for what is not computed as Keras computes it */
function rejectUnsupported(model: LayerConfig): void {
  for (const layer of [model, ...walkLayers(model)]) {
    const { class_name: className, config } = layer;
    const rules = rulesOf(className);
    rejectUnkeyedNoise(layer);
    if (rules === null) {
      const instead = ownEntry(ALTERNATIVES, className) ?? 'Use another layer.';
      throw new Error(`${layerLabel(layer)} is of a class that gradcast does not train. ${instead}`);
    }
    for (const [key, value] of Object.entries(config)) {
      const rule = ownEntry(rules, key);
      if (rule === undefined) {
        throw new Error(
          `${layerLabel(layer)} has the key ${key}, which would be ignored: ${className} has none of that name here. ` +
            'Take it out of the model.',
        );
      }
      if (rule.accepts(value)) continue;
      throw unsupportedError(layer, key, value, rule.expected);
    }
    rejectForeignMembers(layer);
  }
}

function unsupportedError(layer: LayerConfig, key: string, value: unknown, expected: string): Error {
  if (/_(regularizer|constraint)$/.test(key)) {
    return new Error(
      `${layerLabel(layer)} has ${/^[aeiou]/.test(key) ? 'an' : 'a'} ${key}, which would be ignored: ${expected}. Take it out of the model.`,
    );
  }
  const shown = JSON.stringify(isLayer(value) ? value.class_name : value).slice(0, 80);
  return new Error(`${layerLabel(layer)} has ${key} ${shown}: ${expected}. Change it in the model.`);
}

/** @throws Error if a layer that should hold layers holds something else, which walks over layers would not see */
function rejectForeignMembers(layer: LayerConfig): void {
  const { layers, cells } = layer.config;
  const held = Array.isArray(layers) ? layers.length : 0;
  if (isModel(layer) && (held === 0 || layersOf(layer).length < held)) {
    throw new Error(`Model ${String(layer.config.name)} holds something that is no layer, or nothing.`);
  }
  if (layer.class_name === 'StackedRNNCells' && nestedLayers(layer).length < [cells].flat().length) {
    throw new Error(`${layerLabel(layer)} holds something that is no cell.`);
  }
}

/** What the file leaves to Keras' defaults, where tfjs has others. */
function fillDefaults(layer: LayerConfig): void {
  const { config } = layer;
  for (const [key, rule] of Object.entries(rulesOf(layer.class_name) ?? {})) {
    if (config[key] === undefined && rule.defaultValue !== undefined) config[key] = rule.defaultValue;
    const [, tensor] = /^(.*)_initializer$/.exec(key) ?? [];
    if (tensor !== undefined) config[key] = expandInitializer(layer, tensor);
  }
}
