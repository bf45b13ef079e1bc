import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { LAYER_NAMES, type TensorFlow } from '../../../coordinator/task/tensorflow.ts';
import { LAYER_CLASSES } from '../../../shared/model/layer-table.ts';

/** Functions of tf.layers that are no names of layers, or whose layers gradcast does not train. */
const OTHERS = ['Layer', 'RNN', 'RNNCell', 'input', 'convLstm2dCell', 'randomWidth', 'spatialDropout1d'];

test('the types have all layers of TensorFlow.js that gradcast trains', () => {
  const known: readonly string[] = LAYER_NAMES;
  expect([...known, ...OTHERS].sort()).toEqual(Object.keys(tf.layers).sort());
  const trained = new Set(LAYER_CLASSES.map((name) => name.toLowerCase()));
  const aliased = known.map((name) =>
    name.replace('avgPool', 'averagePool').replace(/Pool(?=\d)/, 'Pooling'),
  );
  expect(aliased.filter((name) => !trained.has(name.toLowerCase()))).toEqual([]);
  expect(OTHERS.filter((name) => name !== 'RNN' && trained.has(name.toLowerCase()))).toEqual([]);
});

test('a model ends in rescaling, by its type and when it is built', () => {
  const build = ({ layers, sequential }: TensorFlow) =>
    sequential({
      layers: [
        layers.dense({ inputShape: [2], units: 1, useBias: false, kernelInitializer: 'ones' }),
        layers.rescaling({ scale: 10, offset: 100 }),
      ],
    });
  const model = build(tf as unknown as TensorFlow) as unknown as tf.LayersModel;
  expect((model.predict(tf.tensor2d([[1, 2]])) as tf.Tensor).dataSync()[0]).toBe(130);
  model.dispose();
  // @ts-expect-error There is no such layer.
  expect((tf as unknown as TensorFlow).layers.rescale).toBe(undefined);
});
