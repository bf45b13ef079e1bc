import type { Topology } from './job.ts';

/** Configuration of a layer, a model or an initializer as Keras writes it. */
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

/** Own entry of a table by a name from a file; undefined for inherited names such as "constructor". */
export const ownEntry = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

export const asArray = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/** Classes whose configuration contains layers. */
const MODEL_CLASSES: ReadonlySet<string> = new Set(['Sequential', 'Functional', 'Model']);

export const isModel = ({ class_name: className }: LayerConfig): boolean => MODEL_CLASSES.has(className);

/**
 * Copy of a model's configuration, without the wrapper of keras.Model.save().
 * @throws Error with a sentence if the topology is not a model
 */
export function copyModel(topology: Topology): LayerConfig {
  const model: unknown = JSON.parse(JSON.stringify(topology.model_config ?? topology));
  if (!isLayer(model)) throw new Error('The topology is not a Keras model: class_name or config is missing.');
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

/** All layers in order of the topology, including those of nested models and wrappers. */
export function* walkLayers(model: LayerConfig): Generator<LayerConfig> {
  for (const layer of nestedLayers(model)) {
    yield layer;
    yield* walkLayers(layer);
  }
}

/** Layer as an error names it: "Layer conv (Conv2D)". */
export function layerLabel({ class_name: className, config, name }: LayerConfig): string {
  const label = config.name ?? name;
  return `Layer ${typeof label === 'string' ? label : 'without a name'} (${className})`;
}
