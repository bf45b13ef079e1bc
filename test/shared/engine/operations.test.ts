import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { buildModel } from '../../../shared/engine/model.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

/** Model of one operation on inputs of shapes without the samples. */
async function build(operation: string, settings: object, operands: unknown[], ...shapes: number[][]) {
  await wasmEngine();
  const layers = shapes.map((shape, i) => ({
    class_name: 'InputLayer',
    name: `x${i}`,
    config: { name: `x${i}`, batch_input_shape: [null, ...shape] },
    inbound_nodes: [],
  }));
  const calls = shapes.map((_, i) => [`x${i}`, 0, 0, {}]);
  return buildModel(tf, {
    class_name: 'Functional',
    config: {
      name: 'm',
      layers: [
        ...layers,
        {
          class_name: 'Operation',
          name: 'op',
          config: { name: 'op', operation, operands, settings },
          inbound_nodes: [calls],
        },
      ],
      input_layers: shapes.map((_, i) => [`x${i}`, 0, 0]),
      output_layers: [['op', 0, 0]],
    },
  });
}

it('an operation has the shape that it computes', async () => {
  const key = ['ellipsis', { start: null, stop: null, step: -2 }];
  const built = await build('GetItem', { key }, [null], [3, 5]);
  expect(built.model.outputs[0]?.shape).toEqual([null, 3, 3]);
  const values = tf.tidy(() =>
    (built.model.apply(tf.range(0, 15).reshape([1, 3, 5])) as tf.Tensor).dataSync(),
  );
  expect([...values]).toEqual([4, 2, 0, 9, 7, 5, 14, 12, 10]);
  built.dispose();
});

const whole = { start: null, stop: null, step: null };
it.each([
  ['Mean', { axis: 0 }, [null], [[3]]],
  ['Mean', { axis: [-2] }, [null], [[3]]],
  ['Softmax', { axis: 0 }, [null], [[3]]],
  ['Cumsum', { axis: -3 }, [null], [[3, 2]]],
  ['Flip', { axis: 0 }, [null], [[3]]],
  ['Transpose', { axes: [1, 0] }, [null], [[3]]],
  ['Swapaxes', { axis1: 0, axis2: 1 }, [null], [[3]]],
  ['Moveaxis', { source: 1, destination: 0 }, [null], [[3]]],
  ['Concatenate', { axis: 0 }, [null, null], [[3], [3]]],
  ['Stack', { axis: 0 }, [null, null], [[3], [3]]],
  ['ExpandDims', { axis: 0 }, [null], [[3]]],
  ['Reshape', { newshape: [-1, 3] }, [null], [[2, 3]]],
  ['Reshape', { newshape: [3, -1] }, [null], [[3]]],
  ['GetItem', { key: [0] }, [null], [[3]]],
  ['GetItem', { key: [{ start: 0, stop: 2, step: null }] }, [null], [[3]]],
  ['GetItem', { key: ['newaxis', whole] }, [null], [[3]]],
  ['Tile', { repeats: [2, 1] }, [null], [[3]]],
  [
    'Pad',
    {
      pad_width: [
        [1, 0],
        [0, 0],
      ],
      mode: 'constant',
    },
    [null],
    [[3]],
  ],
  ['Multiply', {}, [null, [[1], [2], [3]]], [[1]]],
  ['Matmul', {}, [null, null], [[3], [3]]],
  [
    'Dot',
    {},
    [null, null],
    [
      [3, 3],
      [3, 3],
    ],
  ],
  ['Einsum', { subscripts: 'bi,ci->bc' }, [null, null], [[3], [3]]],
  ['Einsum', { subscripts: 'bi,bj->ij' }, [null, null], [[3], [3]]],
])('%s with %j, which mixes the samples of a batch, is refused', async (name, settings, operands, shapes) => {
  await expect(build(name, settings, operands, ...shapes)).rejects.toThrow(
    `Layer op (${name}) is an operation on tensors that cannot be computed: it would mix the samples of a batch. Use a layer of Keras.`,
  );
});

it.each([
  ['Add', {}, [null, null], [[3, 2], [2]], 'its inputs have 3 and 2 axes'],
  ['Mean', { axis: 4 }, [null], [[3, 2]], 'its input has fewer axes'],
  ['Split', { indices_or_sections: 4, axis: 1 }, [null], [[3]], 'its input cannot be split like that'],
  ['GetItem', { key: [whole, 3] }, [null], [[3]], 'its input has only 3 positions'],
  ['GetItem', { key: [whole, { start: 2, stop: 1, step: null }] }, [null], [[3]], 'its result is empty'],
  ['Take', { indices: 5, axis: 1 }, [null], [[3]], 'its input has only 3 positions'],
  ['Einsum', { subscripts: 'bii,bi->b' }, [null, null], [[3, 3], [3]], 'its equation names an axis twice'],
  ['Norm', { ord: 2, axis: [1, 2] }, [null], [[3, 3]], 'it is the norm of a matrix'],
])('%s with %j is refused with its reason', async (name, settings, operands, shapes, reason) => {
  await expect(build(name, settings, operands, ...shapes)).rejects.toThrow(
    `Layer op (${name}) is an operation on tensors that cannot be computed: ${reason}. Use a layer of Keras.`,
  );
});
