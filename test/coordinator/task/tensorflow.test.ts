import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import type { TensorFlow } from '../../../coordinator/task/tensorflow.ts';
import { LAYER_CLASSES } from '../../../shared/model/layer-table.ts';

/** All layers of the types, which the compiler holds to be complete. */
const LAYERS: Readonly<Record<keyof TensorFlow['layers'], true>> = {
  inputLayer: true,
  dense: true,
  activation: true,
  flatten: true,
  reshape: true,
  permute: true,
  repeatVector: true,
  dropout: true,
  masking: true,
  conv1d: true,
  conv2d: true,
  conv2dTranspose: true,
  separableConv2d: true,
  depthwiseConv2d: true,
  conv3d: true,
  conv3dTranspose: true,
  maxPooling1d: true,
  maxPooling2d: true,
  maxPooling3d: true,
  maxPool1d: true,
  maxPool2d: true,
  averagePooling1d: true,
  averagePooling2d: true,
  averagePooling3d: true,
  avgPooling1d: true,
  avgPooling2d: true,
  avgPooling3d: true,
  avgPool1d: true,
  avgPool2d: true,
  avgPool3d: true,
  globalMaxPooling1d: true,
  globalMaxPooling2d: true,
  globalMaxPool1d: true,
  globalMaxPool2d: true,
  globalAveragePooling1d: true,
  globalAveragePooling2d: true,
  zeroPadding2d: true,
  upSampling2d: true,
  cropping2D: true,
  batchNormalization: true,
  layerNormalization: true,
  rescaling: true,
  resizing: true,
  centerCrop: true,
  categoryEncoding: true,
  embedding: true,
  simpleRNN: true,
  gru: true,
  lstm: true,
  rnn: true,
  bidirectional: true,
  timeDistributed: true,
  convLstm2d: true,
  simpleRNNCell: true,
  gruCell: true,
  lstmCell: true,
  stackedRNNCells: true,
  add: true,
  multiply: true,
  average: true,
  maximum: true,
  minimum: true,
  concatenate: true,
  dot: true,
  elu: true,
  leakyReLU: true,
  prelu: true,
  reLU: true,
  softmax: true,
  thresholdedReLU: true,
  gaussianNoise: true,
  gaussianDropout: true,
  alphaDropout: true,
};

/** Functions of tf.layers that are no names of layers, or whose layers gradcast does not train. */
const OTHERS = ['Layer', 'RNN', 'RNNCell', 'input', 'convLstm2dCell', 'randomWidth', 'spatialDropout1d'];

test('the types have all layers of TensorFlow.js that gradcast trains', () => {
  const known = Object.keys(LAYERS);
  expect([...known, ...OTHERS].sort()).toEqual(Object.keys(tf.layers).sort());
  const trained = new Set(LAYER_CLASSES.map((name) => name.toLowerCase()));
  const aliased = known.map((name) =>
    name.replace('avgPool', 'averagePool').replace(/Pool(?=\d)/, 'Pooling'),
  );
  expect(aliased.filter((name) => !trained.has(name.toLowerCase()))).toEqual([]);
  expect(OTHERS.filter((name) => name !== 'RNN' && trained.has(name.toLowerCase()))).toEqual([]);
});

test('a model ends in rescaling, by its type and when it is built', () => {
  const build = (own: TensorFlow) =>
    own.sequential({
      layers: [
        own.layers.dense({ inputShape: [2], units: 1, useBias: false, kernelInitializer: 'ones' }),
        own.layers.rescaling({ scale: 10, offset: 100 }),
      ],
    });
  const model = build(tf as unknown as TensorFlow) as unknown as tf.LayersModel;
  expect((model.predict(tf.tensor2d([[1, 2]])) as tf.Tensor).dataSync()[0]).toBe(130);
  model.dispose();
  // @ts-expect-error There is no such layer.
  expect((tf as unknown as TensorFlow).layers.rescale).toBe(undefined);
});
