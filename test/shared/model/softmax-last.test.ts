import { expect, it } from 'vitest';
import type { Topology } from '../../../shared/model/job.ts';
import { moveSoftmaxLast } from '../../../shared/model/topology.ts';

const layer = (class_name: string, name: string, config: object = {}, from?: string) => ({
  class_name,
  config: { name, ...config },
  ...(from === undefined ? {} : { name, inbound_nodes: [[[from, 0, 0, {}]]] }),
});
const sequential = (...layers: object[]): Topology => ({ class_name: 'Sequential', config: { layers } });
const conv = (activation: string) => layer('Conv2D', 'conv', { filters: 10, activation });
const flatten = layer('Flatten', 'flat');

it('moveSoftmaxLast moves a softmax after layers that change only the shape', () => {
  const { topology, outputs } = moveSoftmaxLast(
    sequential(conv('softmax'), flatten, layer('Reshape', 'shape')),
  );
  expect(outputs).toBe(10);
  expect(topology.config).toMatchObject({
    layers: [
      { config: { activation: 'linear' } },
      {},
      {},
      { class_name: 'Activation', config: { activation: 'softmax' } },
    ],
  });
});

it('moveSoftmaxLast moves a softmax in a functional model, unless another layer uses its output', () => {
  const layers = [
    layer('Conv2D', 'conv', { filters: 10, activation: 'softmax' }, 'in'),
    layer('Flatten', 'flat', {}, 'conv'),
  ];
  const functional = (more: object[]): Topology => ({
    class_name: 'Functional',
    config: { layers: [...layers, ...more], output_layers: [['flat', 0, 0]] },
  });
  const { topology, outputs } = moveSoftmaxLast(functional([]));
  expect(outputs).toBe(10);
  expect(topology.config).toMatchObject({
    output_layers: [['softmax_of_classes', 0, 0]],
    layers: [{}, {}, { name: 'softmax_of_classes', inbound_nodes: [[['flat', 0, 0, {}]]] }],
  });
  expect(moveSoftmaxLast(functional([layer('Dense', 'other', {}, 'conv')])).outputs).toBeNull();
});

it.each<[string, Topology]>([
  [
    'with a softmax at the end',
    sequential(flatten, layer('Dense', 'out', { units: 3, activation: 'softmax' })),
  ],
  ['without a softmax', sequential(conv('relu'), flatten)],
  [
    'with a softmax before other layers',
    sequential(conv('softmax'), layer('Dense', 'd', { units: 3, activation: 'relu' }), flatten),
  ],
  ['of only a Flatten', sequential(flatten)],
])('moveSoftmaxLast leaves a model %s unchanged', (_, topology) => {
  expect(moveSoftmaxLast(topology)).toEqual({ topology, outputs: null });
});
