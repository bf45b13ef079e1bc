import * as tf from '@tensorflow/tfjs';
import type { Topology } from '../../../../shared/model/job.ts';
import { layersOf, type LayerConfig } from '../../../../shared/model/keras-layer.ts';
import { defaultTopology } from '../../../../shared/model/default-topology.ts';

export const SAMPLE_SHAPE = [12, 12, 1];
export const CLASSES = 4;

const inputShape = SAMPLE_SHAPE;
const end = (): tf.layers.Layer[] => [
  tf.layers.flatten(),
  tf.layers.dense({ units: CLASSES, activation: 'softmax' }),
];

function topologyOf(...layers: tf.layers.Layer[]): Topology {
  const model = tf.sequential({ layers });
  const topology = model.toJSON(undefined, false) as unknown as Topology;
  // Its variables' names would collide with those of the native engine if that has its own copy of tfjs.
  model.dispose();
  return topology;
}

/** Models of many kinds for images of SAMPLE_SHAPE. */
export const models: Record<string, () => Topology> = {
  "the seed's CNN": () => defaultTopology(SAMPLE_SHAPE, CLASSES),
  'batch normalisation': () =>
    topologyOf(
      tf.layers.conv2d({ inputShape, filters: 4, kernelSize: 3, useBias: false }),
      tf.layers.batchNormalization({}),
      tf.layers.activation({ activation: 'relu' }),
      tf.layers.dropout({ rate: 0.3 }),
      ...end(),
    ),
  'strides and same padding': () =>
    topologyOf(
      tf.layers.conv2d({
        inputShape,
        filters: 4,
        kernelSize: 3,
        strides: 2,
        padding: 'same',
        activation: 'relu',
      }),
      tf.layers.conv2d({ filters: 6, kernelSize: 5, padding: 'same', activation: 'relu6' }),
      ...end(),
    ),
  'a penalty of outputs': () => {
    const topology = topologyOf(
      tf.layers.conv2d({ inputShape, filters: 4, kernelSize: 3, activation: 'tanh' }),
      ...end(),
    );
    for (const { config } of layersOf(topology as unknown as LayerConfig).filter(
      ({ config: { activation } }) => activation,
    ))
      config.activity_regularizer = { class_name: 'L1L2', config: { l1: 0.01, l2: 0.02 } };
    return topology;
  },
  'average pooling': () =>
    topologyOf(
      tf.layers.conv2d({ inputShape, filters: 4, kernelSize: 3, activation: 'tanh' }),
      tf.layers.averagePooling2d({ poolSize: 2 }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: CLASSES, activation: 'softmax' }),
    ),
  'separable and depthwise convolution': () =>
    topologyOf(
      tf.layers.separableConv2d({ inputShape, filters: 4, kernelSize: 3, activation: 'relu' }),
      tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, activation: 'sigmoid' }),
      ...end(),
    ),
  'an LSTM': () =>
    topologyOf(
      tf.layers.reshape({ inputShape, targetShape: [12, 12] }),
      tf.layers.lstm({ units: 5 }),
      tf.layers.dense({ units: CLASSES, activation: 'softmax' }),
    ),
};
