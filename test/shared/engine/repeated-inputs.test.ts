import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { buildModel } from '../../../shared/engine/model.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const layer = (class_name: string, name: string, config: object, ...inputs: string[]) => ({
  class_name,
  name,
  config: { name, ...config },
  inbound_nodes: inputs.length === 0 ? [] : [inputs.map((input) => [input, 0, 0, {}])],
});

it('a tensor that is two inputs of a layer, and that a later layer uses, is there in inference', async () => {
  await wasmEngine();
  const built = await buildModel(tf, {
    class_name: 'Functional',
    config: {
      name: 'm',
      layers: [
        layer('InputLayer', 'x', { batch_input_shape: [null, 2] }),
        layer('ReLU', 'a', {}, 'x'),
        layer('BatchNormalization', 'n', {}, 'a'),
        layer('Add', 'twice', {}, 'n', 'n'),
        layer('Add', 'sum', {}, 'n', 'twice'),
      ],
      input_layers: [['x', 0, 0]],
      output_layers: [['sum', 0, 0]],
    },
  });
  const [gamma, beta, mean, variance] = built.variables as [
    tf.Variable,
    tf.Variable,
    tf.Variable,
    tf.Variable,
  ];
  tf.tidy(() => {
    gamma.assign(tf.ones([2]));
    beta.assign(tf.zeros([2]));
    mean.assign(tf.zeros([2]));
    variance.assign(tf.ones([2]));
  });
  const before = tf.memory().numTensors;
  const compute = (training: boolean): number[] => [
    ...tf.tidy(() => (built.model.apply(tf.tensor([[1, -2]]), { training }) as tf.Tensor).dataSync()),
  ];
  const [first = 0, second] = compute(false);
  expect(first).toBeCloseTo(3, 2);
  expect(second).toBe(0);
  // Inference is still inference: one sample alone would be 0.
  expect(compute(true)).toEqual([0, 0]);
  expect(tf.memory().numTensors).toBe(before);
  built.dispose();
});
