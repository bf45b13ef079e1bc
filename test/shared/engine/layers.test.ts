import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { cellsInsideImage } from '../../../shared/engine/gradient-corrections.ts';
import { interpolationMatrix } from '../../../shared/engine/layers/resizing.ts';
import { randomContext, type MaskSource } from '../../../shared/engine/layers/random-source.ts';
import { buildModel } from '../../../shared/engine/model.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { withKeyedDropout } from '../../../shared/model/topology.ts';
import { computeLayers } from './layer-gradients.ts';

const layer = (className: string, config: object, inbound?: unknown) => ({
  class_name: className,
  config,
  ...(inbound === undefined ? {} : { name: (config as { name: string }).name, inbound_nodes: inbound }),
});
const sequential = (...layers: object[]): Topology => ({
  class_name: 'Sequential',
  config: { name: 'model', layers },
});
const input = (...shape: number[]) =>
  layer('InputLayer', { name: 'in', batch_input_shape: [null, ...shape], dtype: 'float32' });

await tf.setBackend('cpu');

/** Output of a model for inputs of ones, with the dropout masks 1, 2, 3, ..., and the shapes of the masks. */
async function applyToOnes(topology: Topology, shape: number[]) {
  const maskShapes: number[][] = [];
  const masks: MaskSource = {
    draw(_layer, _draw, maskShape) {
      maskShapes.push(maskShape);
      const size = maskShape.reduce((a, b) => a * b, 1);
      return tf.tensor(
        Float32Array.from({ length: size }, (_, i) => i + 1),
        maskShape,
      );
    },
  };
  const built = await buildModel(tf, withKeyedDropout(topology));
  randomContext(tf).masks = masks;
  const values = tf.tidy(() =>
    (built.model.apply(tf.ones(shape), { training: true }) as tf.Tensor).dataSync<'float32'>().slice(),
  );
  randomContext(tf).masks = null;
  built.dispose();
  return { values: [...values], maskShapes };
}

test('dropout is one op of a source that has it, but for a mask of another shape', async () => {
  const calls: string[] = [];
  const drop = (name: string, noiseShape: (number | null)[] | null) =>
    layer('Dropout', { name, rate: 0.5, noise_shape: noiseShape });
  const built = await buildModel(
    tf,
    withKeyedDropout(sequential(input(3, 2), drop('all', null), drop('steps', [null, 1, null]))),
  );
  randomContext(tf).masks = {
    draw(number, rate, shape) {
      calls.push(`draw ${number}, ${String(rate)}, [${shape.join()}]`);
      return tf.ones(shape);
    },
    dropout(number, rate, x) {
      calls.push(`dropout ${number}, ${rate}, [${x.shape.join()}]`);
      return tf.mul(x, 2);
    },
  };
  const values = tf.tidy(() =>
    (built.model.apply(tf.ones([4, 3, 2]), { training: true }) as tf.Tensor).dataSync(),
  );
  randomContext(tf).masks = null;
  built.dispose();
  expect(calls).toEqual(['dropout 0, 0.5, [4,3,2]', 'draw 1, 0.5, [4,1,2]']);
  expect([...values]).toEqual(new Array(24).fill(2));
});

test('dropout inside TimeDistributed uses a separate mask for each time step', async () => {
  const inner = layer('Dropout', { name: 'drop', rate: 0.5 });
  const { values, maskShapes } = await applyToOnes(
    sequential(input(3, 2), layer('TimeDistributed', { name: 'td', layer: inner })),
    [2, 3, 2],
  );
  // The mask of a sample consists of the masks of its time steps in order.
  expect(maskShapes).toEqual([[6, 2]]);
  expect(values).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

const branched = (kwargs: object): Topology => ({
  class_name: 'Functional',
  config: {
    name: 'model',
    layers: [
      { ...input(2), name: 'in', inbound_nodes: [] },
      layer('Dropout', { name: 'drop', rate: 0.5 }, [[['in', 0, 0, kwargs]]]),
    ],
    input_layers: [['in', 0, 0]],
    output_layers: [['drop', 0, 0]],
  },
});

test('dropout called with training=False does nothing', async () => {
  expect(await applyToOnes(branched({}), [1, 2])).toEqual({ values: [1, 2], maskShapes: [[1, 2]] });
  expect(await applyToOnes(branched({ training: false }), [1, 2])).toEqual({
    values: [1, 1],
    maskShapes: [],
  });
});

test('a layer called with training=False in one of two places is rejected by name', async () => {
  const topology = branched({ training: false }) as { config: { layers: { inbound_nodes: unknown[] }[] } };
  topology.config.layers[1]!.inbound_nodes.push([['drop', 0, 0, {}]]);
  const twice = { ...topology, config: { ...topology.config, output_layers: [['drop', 1, 0]] } };
  await expect(buildModel(tf, twice as unknown as Topology)).rejects.toThrow(
    'Layer drop is called with training=False in one place and without it in another',
  );
});

test('an expanded topology keeps settings that change the computation', () => {
  const written = expandTopology(
    sequential(
      input(4, 4, 2),
      layer('ReLU', { name: 'r', max_value: 6, negative_slope: 0.2, threshold: 0.5 }),
      layer('Reshape', { name: 's', target_shape: [4, 8] }),
      layer('GRU', { name: 'g', units: 2, reset_after: true, trainable: false }),
    ),
  );
  const { layers } = written.config as { layers: { config: Record<string, unknown> }[] };
  expect(layers[1]?.config).toMatchObject({ max_value: 6, negative_slope: 0.2, threshold: 0.5 });
  expect(layers[3]?.config).toMatchObject({ reset_after: true, trainable: false });
});

test('batch normalization over several axes is rejected by name', async () => {
  const topology = sequential(input(4, 4, 2), layer('BatchNormalization', { name: 'bn', axis: [1, 2] }));
  await expect(buildModel(tf, topology)).rejects.toThrow('Layer bn (BatchNormalization) has several axes');
});

test('cellsInsideImage counts the cells of each window inside the image', () => {
  expect(cellsInsideImage(5, 2, 2)).toEqual([2, 2, 1]);
  expect(cellsInsideImage(5, 3, 1)).toEqual([2, 3, 3, 3, 2]);
  expect(cellsInsideImage(2, 7, 1)).toEqual([2, 2]);
});

test('interpolationMatrix interpolates between pixel centers', () => {
  // tf.image.resize([0, 1], 4): 0, .25, .75, 1.
  expect([...interpolationMatrix(2, 2)]).toEqual([1, 0.75, 0.25, 0, 0, 0.25, 0.75, 1]);
});

test('an RNN sets the outputs of masked steps to 0 if its configuration says so', async () => {
  const cell = layer('SimpleRNNCell', { name: 'cell', units: 2 });
  const settings = { name: 'rnn', cell, return_sequences: true };
  for (const zero_output_for_mask of [false, true]) {
    const model = sequential(
      input(3, 2),
      layer('Masking', { name: 'masking', mask_value: 0 }),
      layer('RNN', { ...settings, zero_output_for_mask }),
    );
    const built = await buildModel(tf, expandTopology(model));
    const steps = tf.tensor3d([1, 1, 0, 0, 1, 1], [1, 3, 2]);
    const output = built.model.predict(steps) as tf.Tensor;
    const [first, second, third] = tf.max(tf.abs(output), -1).dataSync();
    expect(first).toBeGreaterThan(0);
    expect(second).toBe(zero_output_for_mask ? 0 : first);
    expect(third).toBeGreaterThan(0);
    tf.dispose([steps, output]);
    built.dispose();
  }
});

test('inputs of Subtract with fewer axes are aligned by their samples', async () => {
  const call = (name: string) => [name, 0, 0, {}];
  const topology: Topology = {
    class_name: 'Functional',
    config: {
      name: 'model',
      layers: [
        { ...input(2, 2), name: 'in', inbound_nodes: [] },
        layer('GlobalAveragePooling1D', { name: 'mean' }, [[call('in')]]),
        layer('Subtract', { name: 'left' }, [[call('mean'), call('in')]]),
        layer('Subtract', { name: 'right' }, [[call('in'), call('mean')]]),
        layer('Add', { name: 'sum' }, [[call('left'), call('right')]]),
        layer('Concatenate', { name: 'out', axis: -1 }, [[call('right'), call('sum')]]),
      ],
      input_layers: [['in', 0, 0]],
      output_layers: [['out', 0, 0]],
    },
  };
  const built = await buildModel(tf, expandTopology(topology));
  const x = tf.tensor3d([1, 2, 3, 4, 10, 20, 30, 40], [2, 2, 2]);
  const output = built.model.predict(x) as tf.Tensor;
  expect(output.shape).toEqual([2, 2, 4]);
  expect([...output.dataSync()]).toEqual([-1, -1, 0, 0, 1, 1, 0, 0, -10, -10, 0, 0, 10, 10, 0, 0]);
  tf.dispose([x, output]);
  built.dispose();
});

test('attention along one of several axes is rejected by name', async () => {
  const call = ['in', 0, 0, {}];
  const attention = (config: object): Topology => ({
    class_name: 'Functional',
    config: {
      name: 'model',
      layers: [
        { ...input(3, 3, 2), name: 'in', inbound_nodes: [] },
        layer('MultiHeadAttention', { name: 'out', num_heads: 1, key_dim: 2, ...config }, [[call, call]]),
      ],
      input_layers: [['in', 0, 0]],
      output_layers: [['out', 0, 0]],
    },
  });
  await expect(buildModel(tf, expandTopology(attention({ attention_axes: [1] })))).rejects.toThrow(
    'Layer out (MultiHeadAttention) attends along one of several axes',
  );
  expect(() => expandTopology(attention({ output_shape: [2, 5] }))).toThrow('has output_shape [2,5]');
});

// The figures of Keras 3.15.1 for the same layer.
test('a masked step of a query attends to nothing if an attention has dropout', async () => {
  const ones = layer('Ones', {});
  for (const [dropout, expected] of [
    [0, 1],
    [0.5, 0],
  ] as const) {
    const call = ['masking', 0, 0, {}];
    const settings = {
      name: 'out',
      num_heads: 1,
      key_dim: 1,
      use_bias: false,
      kernel_initializer: ones,
      dropout,
    };
    const built = await buildModel(
      tf,
      expandTopology({
        class_name: 'Functional',
        config: {
          name: 'model',
          layers: [
            { ...input(2, 1), name: 'in', inbound_nodes: [] },
            layer('Masking', { name: 'masking' }, [[['in', 0, 0, {}]]]),
            layer('MultiHeadAttention', settings, [[call, call]]),
          ],
          input_layers: [['in', 0, 0]],
          output_layers: [['out', 0, 0]],
        },
      }),
    );
    const x = tf.tensor3d([2, 0], [1, 2, 1]);
    const output = built.model.predict(x) as tf.Tensor;
    expect([...output.dataSync()]).toEqual([2, expected]);
    tf.dispose([x, output]);
    built.dispose();
  }
});

test.each([
  ['nearest', [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 5, 5, 3, 3, 5, 5]],
  ['bilinear', [1, 1.25, 1.75, 2, 1.5, 1.8125, 2.4375, 2.75, 2.5, 2.9375, 3.8125, 4.25, 3, 3.5, 4.5, 5]],
])('UpSampling2D %s with a size of one number is that of Keras', async (interpolation, output) => {
  const upSampling = layer('UpSampling2D', { name: 'up', size: 2, interpolation });
  const computed = await computeLayers([upSampling], [2, 2, 1], [1, 2, 3, 5]);
  expect(computed.shape).toEqual([1, 4, 4, 1]);
  expect(computed.output).toEqual(output);
});
