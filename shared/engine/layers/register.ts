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
 * Has models that are read from topologies compute as Keras does where tfjs-layers does not (see the files beside this one).
 * May be called again. Layers that are made by tf.layers stay tfjs-layers' own.
 */
export function registerLayers(tf: TF): void {
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  if (registered.has(classNameMap)) return;
  registered.add(classNameMap);
  stockLayerClasses(tf);
  for (const make of FACTORIES) tf.serialization.registerClass(make(tf) as never);
}
