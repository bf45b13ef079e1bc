import { readFileSync } from 'node:fs';
import type { LayerCase } from './keras-layers.ts';

const reference = JSON.parse(
  readFileSync(new URL('../reference/keras-layers.json', import.meta.url), 'utf8'),
) as { readonly cases: readonly LayerCase[] };

/** All models with figures of Keras. */
export const layerCases = reference.cases;

/** One model of each kind for which tfjs-layers or a backend needs a correction. */
export const kinds: readonly LayerCase[] = [
  'AveragePooling2D same, 3 by 2',
  'AveragePooling1D same, 3 by 2',
  'AveragePooling3D same',
  'MaxPooling2D same, 3 by 2',
  'ReLU {"negative_slope": 0.2, "threshold": 0.1}',
  'ReLU {"threshold": 0.1, "max_value": 0.25}',
  'ThresholdedReLU 0.1',
  'PReLU shared',
  'UpSampling2D nearest 2 x 2',
  'UpSampling2D bilinear 3 x 2',
  'frozen Conv2D in the middle',
  'frozen and trained BatchNormalization',
  'frozen nested model',
  'nested model called with training=False',
  'BatchNormalization {"center": false, "scale": false}',
  'BatchNormalization {} over axis 1',
  'LayerNormalization {"scale": false} over axes 1 and 2',
  'LayerNormalization {"center": false}',
  'LSTM',
  'GRU, reset_after False',
  'GRU, reset_after True',
  'TimeDistributed BatchNormalization',
  'Conv2D same, strides 2',
  'DepthwiseConv2D',
  'Conv2D same, dilated by 3 and 2',
  'Conv1D causal, dilated',
].map((name) => {
  const found = layerCases.find((each) => each.name === name);
  if (found === undefined) throw new Error(`The figures of Keras lack the model ${name}.`);
  return found;
});
