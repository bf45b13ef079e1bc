import type { TF } from '../../util/tf.ts';
import { activationLayers, registerActivations } from './activations.ts';
import { attentionLayers } from './attention.ts';
import { adaptivePoolingLayers } from './adaptive-pooling.ts';
import { categoryLayers } from './categories.ts';
import { convLstmLayers } from './conv-lstm.ts';
import { augmentationLayers } from './augmentation.ts';
import { convolutionLayers } from './convolution.ts';
import { denseLayers } from './dense.ts';
import { maskLayers } from './masks.ts';
import { mergingLayers } from './merging.ts';
import { noiseLayers } from './noise.ts';
import { normalizationLayers } from './normalization.ts';
import { operationLayers } from './operations.ts';
import { poolingLayers } from './pooling.ts';
import { recurrentLayers } from './recurrent.ts';
import { reluLayers } from './relu.ts';
import { reshapingLayers } from './reshaping.ts';
import { resizingLayers } from './resizing.ts';
import { stockLayerClasses } from './stock.ts';

const FACTORIES = [
  ...activationLayers,
  ...adaptivePoolingLayers,
  ...attentionLayers,
  ...categoryLayers,
  ...convLstmLayers,
  ...augmentationLayers,
  ...convolutionLayers,
  ...denseLayers,
  ...maskLayers,
  ...mergingLayers,
  ...noiseLayers,
  ...normalizationLayers,
  ...operationLayers,
  ...poolingLayers,
  ...recurrentLayers,
  ...reluLayers,
  ...reshapingLayers,
  ...resizingLayers,
];

const registered = new WeakSet<object>();

/**
 * Registers the layers of this folder for models that are loaded from topologies, so that they compute what Keras computes. May
 * be called again. Layers made by tf.layers stay those of tfjs-layers.
 */
export function registerLayers(tf: TF): void {
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  if (registered.has(classNameMap)) return;
  registered.add(classNameMap);
  stockLayerClasses(tf);
  registerActivations(tf);
  for (const make of FACTORIES) tf.serialization.registerClass(make(tf) as never);
}
