import {
  assignUniqueNames,
  checkCallArguments,
  convertCallArguments,
  freezeNestedLayers,
} from './layer-calls.ts';
import { normalizeActivityPenalty, rejectInnerPenalties } from './activity-penalties.ts';
import { expandInitializer } from './initializers.ts';
import type { Topology } from './job.ts';
import { convertKeras3, isKeras3, withSnakeKeys } from './convert-keras3.ts';
import { normalizeConfigs } from './normalize-config.ts';
import {
  asArray,
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
import { checkOperations } from './operations.ts';

/** Advice for unsupported layer classes that have a replacement. */
const ALTERNATIVES: Readonly<Record<string, string>> = {
  Lambda: 'It contains Python code, which workers do not run. Use layers of Keras.',
  TFOpLambda:
    'It is an operation on tensors as Keras 2 writes it. Save the model with Keras 3, or use a layer of Keras (Add, Multiply, Rescaling).',
  SlicingOpLambda: 'It is an operation on tensors as Keras 2 writes it. Save the model with Keras 3.',
  SpectralNormalization: 'It changes a kernel before each step. Remove the wrapper.',
};

/**
 * Normalizes a topology to the form of Keras 2 with keys in snake_case, complete initializers and unique layer names, from which
 * tfjs-layers builds the same model as Keras. Rejects settings that tfjs-layers would ignore or compute otherwise. A normalized
 * topology is returned unchanged.
 * @param custom class names of layers of the job's custom code, whose settings only that code knows
 * @throws Error naming layer and key
 */
export function expandTopology(topology: Topology, custom: readonly string[] = []): Topology {
  const version = topology.keras_version ?? topology.kerasVersion;
  const model = withSnakeKeys(copyModel(unwrapModelConfig(topology))) as LayerConfig;
  if (!isModel(model))
    throw new Error(`The topology is a ${model.class_name}, not a Sequential or functional model.`);
  const keras3 = isKeras3(model, version);
  rejectSharedLayers(model);
  if (keras3) convertKeras3(model);
  convertCallArguments(model);
  normalizeConfigs(model, custom);
  useFloat32Input(model);
  rejectUnsupported(model, custom);
  rejectInnerPenalties(model);
  checkOperations(model);
  freezeNestedLayers(model);
  checkCallArguments(model);
  for (const layer of walkLayers(model)) fillDefaults(layer);
  assignUniqueNames(model);
  return { class_name: model.class_name, config: model.config };
}

const unwrapModelConfig = (topology: Topology): Topology => {
  const wrapped = topology.model_config ?? topology.modelConfig;
  return wrapped === undefined ? topology : { model_config: wrapped };
};

const isInteger = ({ class_name: className, config }: LayerConfig): boolean =>
  className === 'InputLayer' && /^u?int/.test(String(config.dtype));

/** Changes integer inputs to float32, which all engines pass to a model; the values are the same. */
function useFloat32Input(model: LayerConfig): void {
  for (const layer of walkLayers(model)) if (isInteger(layer)) layer.config.dtype = 'float32';
}

/**
 * Whether each input of a model takes whole numbers, in the order of the inputs.
 * @param topology as Keras or TensorFlow.js wrote it
 */
export function takesIntegers(topology: Topology): boolean[] {
  const model = withSnakeKeys(copyModel(unwrapModelConfig(topology))) as LayerConfig;
  const { input_layers: inputs } = model.config;
  if (!Array.isArray(inputs)) return [[...walkLayers(model)].some(isInteger)];
  // Keras 3 writes a single input without a list around it.
  const names = (typeof inputs[0] === 'string' ? [inputs] : inputs).map((input) => asArray(input)[0]);
  return names.map((name) => layersOf(model).some((layer) => layer.config.name === name && isInteger(layer)));
}

/** @throws Error if two nested models share a layer with its weights */
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

/** @throws Error naming layer and key if gradcast does not compute a setting as Keras computes it */
function rejectUnsupported(model: LayerConfig, custom: readonly string[]): void {
  for (const layer of [model, ...walkLayers(model)]) {
    const { class_name: className, config } = layer;
    const rules = rulesOf(className);
    if (rules === null && custom.includes(className)) continue;
    if (rules === null) {
      const advice = ownEntry(ALTERNATIVES, className) ?? 'Use another layer, or --custom with its code.';
      throw new Error(`${layerLabel(layer)} is of a class that gradcast does not train. ${advice}`);
    }
    for (const [key, value] of Object.entries(config)) {
      const rule = ownEntry(rules, key);
      if (rule === undefined) {
        throw new Error(
          `${layerLabel(layer)} has the key ${key}, which would be ignored: ${className} has no such setting in gradcast. ` +
            'Remove it from the model.',
        );
      }
      if (rule.accepts(value)) continue;
      throw unsupportedError(layer, key, value, rule.expected);
    }
    rejectForeignMembers(layer);
  }
}

function unsupportedError(layer: LayerConfig, key: string, value: unknown, expected: string): Error {
  const shown = JSON.stringify(isLayer(value) ? value.class_name : value).slice(0, 80);
  return new Error(`${layerLabel(layer)} has ${key} ${shown}: ${expected}. Change it in the model.`);
}

/** @throws Error if a model or a stack of cells contains a member that is not a layer, which walkLayers() would skip */
function rejectForeignMembers(layer: LayerConfig): void {
  const { layers, cells } = layer.config;
  const members = Array.isArray(layers) ? layers.length : 0;
  if (isModel(layer) && (members === 0 || layersOf(layer).length < members)) {
    throw new Error(`Model ${String(layer.config.name)} has no layers, or a member that is not a layer.`);
  }
  if (layer.class_name === 'StackedRNNCells' && nestedLayers(layer).length < [cells].flat().length) {
    throw new Error(`${layerLabel(layer)} has a member that is not a cell.`);
  }
}

/** Fills in Keras' defaults for missing settings for which tfjs-layers has other defaults. */
function fillDefaults(layer: LayerConfig): void {
  const { config } = layer;
  normalizeActivityPenalty(layer);
  for (const [key, rule] of Object.entries(rulesOf(layer.class_name) ?? {})) {
    if (config[key] === undefined && rule.defaultValue !== undefined) config[key] = rule.defaultValue;
    const [, tensor] = /^(.*)_initializer$/.exec(key) ?? [];
    if (tensor !== undefined) config[key] = expandInitializer(layer, tensor);
  }
}
