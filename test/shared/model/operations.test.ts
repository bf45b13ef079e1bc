import { describe, expect, it } from 'vitest';
import { COMPUTED_OPERATIONS } from '../../../shared/engine/layers/operations.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';
import type { LayerConfig } from '../../../shared/model/keras-layer.ts';
import { OPERATION_NAMES } from '../../../shared/model/operations.ts';

const tensor = (name: string, dtype = 'float32') => ({
  class_name: '__keras_tensor__',
  config: { shape: [null, 5, 4], dtype, keras_history: [name, 0, 0] },
});
const slice = (start: number | null, stop: number | null, step: number | null) => ({
  class_name: '__slice__',
  config: { start, stop, step },
});

/** Model of one operation, as Keras 3 writes it. */
const model = (class_name: string, args: unknown[], config: object = {}, kwargs: object = {}): Topology => ({
  class_name: 'Functional',
  config: {
    name: 'm',
    layers: [
      {
        class_name: 'InputLayer',
        name: 'in',
        config: { name: 'in', batch_shape: [null, 5, 4] },
        inbound_nodes: [],
      },
      {
        module: 'keras.src.ops.numpy',
        class_name,
        name: 'op',
        config: { name: 'op', ...config },
        inbound_nodes: [{ args, kwargs }],
      },
    ],
    input_layers: [['in', 0, 0]],
    output_layers: [['op', 0, 0]],
  },
});

/** The operation in a topology for workers. */
function expanded(...args: Parameters<typeof model>): LayerConfig {
  const topology = expandTopology(model(...args));
  expect(expandTopology(topology)).toEqual(topology);
  return (topology.config as { layers: LayerConfig[] }).layers[1]!;
}

const x = tensor('in');

describe('an operation of Keras 3 becomes a layer', () => {
  it('with tensors and constants as operands', () => {
    expect(expanded('Subtract', [1, x])).toEqual({
      class_name: 'Operation',
      name: 'op',
      config: { name: 'op', operation: 'Subtract', operands: [1, null], settings: {} },
      inbound_nodes: [[['in', 0, 0, {}]]],
    });
    const array = { class_name: '__numpy__', config: { value: [1, 2, 3, 4], dtype: 'float64' } };
    expect(expanded('Multiply', [x, array]).config.operands).toEqual([null, [1, 2, 3, 4]]);
    const joined = expanded('Concatenate', [[x, x]], { axis: -1 });
    expect(joined.config).toMatchObject({ operands: [null, null], settings: { axis: -1 } });
    expect(joined.inbound_nodes).toEqual([
      [
        ['in', 0, 0, {}],
        ['in', 0, 0, {}],
      ],
    ]);
  });

  it('with settings, without those that are null', () => {
    const settings = { axis: 1, keepdims: false, initial: null };
    expect(expanded('Max', [x], settings).config.settings).toEqual({ axis: 1, keepdims: false });
    const padding = {
      pad_width: [
        [0, 0],
        [1, 2],
        [0, 0],
      ],
      mode: 'constant',
    };
    const padded = expanded('Pad', [x], padding, { constant_values: 3 });
    expect(padded.config.settings).toEqual({ ...padding, constant_values: 3 });
    const key = [{ class_name: '__ellipsis__', config: {} }, null, slice(1, null, 2), -1];
    expect(expanded('GetItem', [x, key]).config.settings).toEqual({
      key: ['ellipsis', 'newaxis', { start: 1, stop: null, step: 2 }, -1],
    });
    expect(expanded('Take', [x, [0, 2]], { axis: 1 }).config.settings).toEqual({ axis: 1, indices: [0, 2] });
  });
});

it.each([
  ['Conv', [x], {}, 'an operation on tensors (Conv), which is not supported'],
  ['Mean', [x], { axis: null }, 'an operation on tensors (Mean) without axis'],
  ['Mean', [x], { axis: 'all' }, 'an operation on tensors (Mean) with axis "all"'],
  ['Sum', [x], { axis: 1, dtype: 'float16' }, 'an operation on tensors with dtype "float16"'],
  ['Cast', [x], { dtype: 'float16' }, 'an operation on tensors (Cast) with dtype "float16"'],
  ['Max', [x], { axis: 1, initial: 3 }, 'an operation on tensors with initial 3'],
  ['Pad', [x], { pad_width: [[0, 0]], mode: 'reflect' }, 'an operation on tensors (Pad) with mode "reflect"'],
  ['Multiply', [x, 'x'], {}, 'an argument that is neither a tensor nor a number'],
  ['Multiply', [x], {}, '(Multiply) with other operands than numbers and tensors'],
  ['Exp', [2], {}, '(Exp) with other operands than numbers and tensors'],
  ['Add', [tensor('in', 'bool'), tensor('in', 'bool')], {}, 'an operation on tensors that are booleans'],
])('%s of %j with %j is refused by name', (name, args, config, what) => {
  expect(() => expandTopology(model(name, args, config))).toThrow(what);
  expect(() => expandTopology(model(name, args, config))).toThrow(/^Layer op \(/);
});

it('engines compute every operation that the table has', () => {
  expect([...COMPUTED_OPERATIONS].toSorted()).toEqual([...OPERATION_NAMES].toSorted());
});
