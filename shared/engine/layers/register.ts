import type { TF } from '../../util/tf.ts';
import { conv1dLayer, conv2dLayer } from './convolution.ts';
import { flattenLayer, reshapeLayer, timeDistributedLayer, upSampling2dLayer } from './reshaping.ts';
import { gruCellLayer, gruLayer, rnnLayer } from './recurrent.ts';
import { batchNormalizationLayer, layerNormalizationLayer } from './normalization.ts';
import { reluLayer, thresholdedReluLayer } from './relu.ts';
import { stockLayerClasses, type LayerClass } from './stock.ts';

const FACTORIES: readonly ((tf: TF) => LayerClass)[] = [
  batchNormalizationLayer,
  conv1dLayer,
  conv2dLayer,
  flattenLayer,
  gruCellLayer,
  gruLayer,
  layerNormalizationLayer,
  reluLayer,
  reshapeLayer,
  rnnLayer,
  thresholdedReluLayer,
  timeDistributedLayer,
  upSampling2dLayer,
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
  for (const make of FACTORIES) tf.serialization.registerClass(make(tf) as never);
}
