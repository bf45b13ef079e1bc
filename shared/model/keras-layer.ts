import type { Topology } from './job.ts';

/** A layer (or a model, or an initializer) as Keras writes it. */
export interface LayerConfig {
  class_name: string;
  config: Record<string, unknown>;
  name?: unknown;
  inbound_nodes?: unknown;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isLayer = (value: unknown): value is LayerConfig =>
  isRecord(value) && typeof value.class_name === 'string' && isRecord(value.config);

/** Entry of a table by a name from a file, which may be "constructor". */
export const ownEntry = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

export const asArray = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Classes whose config holds layers. */
const MODEL_CLASSES: ReadonlySet<string> = new Set(['Sequential', 'Functional', 'Model']);

export const isModel = ({ class_name: className }: LayerConfig): boolean => MODEL_CLASSES.has(className);

/**
 * Copy of the model itself, whether or not it is wrapped as keras.Model.save() writes it.
 * @throws Error with a sentence if it is no model
 */
export function copyModel(topology: Topology): LayerConfig {
  const model: unknown = JSON.parse(JSON.stringify(topology.model_config ?? topology));
  if (!isLayer(model)) throw new Error('The topology is no Keras model: class_name and config are missing.');
  return model;
}

export function layersOf(model: LayerConfig): LayerConfig[] {
  return asArray(model.config.layers).filter(isLayer);
}

/** Layers and cells within a layer: those of a model, of a wrapper, of a recurrent layer. */
export function nestedLayers(layer: LayerConfig): LayerConfig[] {
  const { layer: wrapped, backward_layer: backward, cell, cells } = layer.config;
  return [...layersOf(layer), ...[wrapped, backward, cell, ...asArray(cells)].filter(isLayer)];
}

/** Every layer, those of models within the model and of wrappers included, in order of the topology. */
export function* walkLayers(model: LayerConfig): Generator<LayerConfig> {
  for (const layer of nestedLayers(model)) {
    yield layer;
    yield* walkLayers(layer);
  }
}

/** Layer as an error names it: "Layer conv (Conv2D)". */
export function layerLabel({ class_name: className, config, name }: LayerConfig): string {
  const known = config.name ?? name;
  return `Layer ${typeof known === 'string' ? known : 'without a name'} (${className})`;
}
