import { isModel, nestedLayers, type LayerConfig } from './keras-layer.ts';

/** A frozen model or wrapper freezes what is in it: tfjs looks at each layer alone. In place. */
export function freezeNestedLayers(layer: LayerConfig, frozen = false): void {
  const here = frozen || layer.config.trainable === false;
  // tfjs' models take no such setting.
  if (isModel(layer)) delete layer.config.trainable;
  else if (here) layer.config.trainable = false;
  for (const inside of nestedLayers(layer)) freezeNestedLayers(inside, here);
}
