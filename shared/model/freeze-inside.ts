import { isModel, layersInside, type LayerConfig } from './keras-layer.ts';

/** A frozen model or wrapper freezes what is in it: tfjs looks at each layer alone. In place. */
export function freezeInside(layer: LayerConfig, frozen = false): void {
  const here = frozen || layer.config.trainable === false;
  // tfjs' models take no such setting.
  if (isModel(layer)) delete layer.config.trainable;
  else if (here) layer.config.trainable = false;
  for (const inside of layersInside(layer)) freezeInside(inside, here);
}
