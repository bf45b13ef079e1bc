import type { TF } from '../../util/tf.ts';
import { eluLayer, registerActivations } from './activations.ts';
import {
  additiveAttentionLayer,
  attentionLayer,
  groupQueryAttentionLayer,
  multiHeadAttentionLayer,
} from './attention.ts';
import {
  randomBrightnessLayer,
  randomContrastLayer,
  randomFlipLayer,
  randomRotationLayer,
  randomTranslationLayer,
  randomZoomLayer,
} from './augmentation.ts';
import { conv1dLayer, conv2dLayer } from './convolution.ts';
import { alphaDropoutLayer, gaussianDropoutLayer, gaussianNoiseLayer, keyedDropoutLayer } from './noise.ts';
import { flattenLayer, reshapeLayer, timeDistributedLayer, upSampling2dLayer } from './reshaping.ts';
import {
  bidirectionalLayer,
  gruCellLayer,
  gruLayer,
  lstmCellLayer,
  lstmLayer,
  rnnLayer,
  simpleRnnCellLayer,
  simpleRnnLayer,
} from './recurrent.ts';
import {
  batchNormalizationLayer,
  groupNormalizationLayer,
  inputNormalizationLayer,
  layerNormalizationLayer,
  rmsNormalizationLayer,
  unitNormalizationLayer,
} from './normalization.ts';
import { reluLayer, thresholdedReluLayer } from './relu.ts';
import { stockLayerClasses, type LayerClass } from './stock.ts';

const FACTORIES: readonly ((tf: TF) => LayerClass)[] = [
  additiveAttentionLayer,
  alphaDropoutLayer,
  attentionLayer,
  batchNormalizationLayer,
  bidirectionalLayer,
  conv1dLayer,
  conv2dLayer,
  eluLayer,
  flattenLayer,
  gaussianDropoutLayer,
  gaussianNoiseLayer,
  groupNormalizationLayer,
  groupQueryAttentionLayer,
  gruCellLayer,
  gruLayer,
  inputNormalizationLayer,
  keyedDropoutLayer,
  layerNormalizationLayer,
  lstmCellLayer,
  lstmLayer,
  multiHeadAttentionLayer,
  randomBrightnessLayer,
  randomContrastLayer,
  randomFlipLayer,
  randomRotationLayer,
  randomTranslationLayer,
  randomZoomLayer,
  reluLayer,
  reshapeLayer,
  rmsNormalizationLayer,
  rnnLayer,
  simpleRnnCellLayer,
  simpleRnnLayer,
  thresholdedReluLayer,
  timeDistributedLayer,
  unitNormalizationLayer,
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
  registerActivations(tf);
  for (const make of FACTORIES) tf.serialization.registerClass(make(tf) as never);
}
