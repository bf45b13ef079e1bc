import { describe, expect, it } from 'vitest';
import { fitInput, takesBytes } from '../../../shared/model/fit-input.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { functional, layer, layersOf, sequential } from './topologies.ts';

const input = (...shape: (number | null)[]) =>
  layer('InputLayer', { name: 'in', batch_input_shape: [null, ...shape], dtype: 'float32' });
const dense = {
  ...layer('Dense', { name: 'out', units: 3 }),
  name: 'out',
  inbound_nodes: [[['in', 0, 0, {}]]],
};
const IMAGES = [28, 28, 1];
/** Class and configuration of the first layer, class of the second, and the number of layers. */
const first = (topology: Topology | null) => {
  const layers = topology === null ? [] : layersOf(topology);
  const [start, second] = layers;
  return [start?.class_name, start?.config, second?.class_name, layers.length];
};

describe('fitInput', () => {
  it.each<[string, (number | null)[], readonly number[]]>([
    ['with the same shape', [28, 28, 1], IMAGES],
    ['with unknown sizes', [null, null, 1], IMAGES],
    ['with only unknown sizes', [null, null, null], [9, 8, 2]],
  ])('keeps an input %s', (_, shape, data) => {
    const batch_input_shape = [null, ...data];
    expect(first(fitInput(sequential(input(...shape), dense), data))).toMatchObject([
      'InputLayer',
      { batch_input_shape },
      'Dense',
      2,
    ]);
  });

  it.each<[number[], readonly number[]]>([
    [[784], IMAGES],
    [[28, 28], IMAGES],
    [[28, 28, 1, 1], IMAGES],
    [[144], [9, 8, 2]],
  ])('reshapes samples for an input of %j', (shape, data) => {
    const expected = { target_shape: shape, batch_input_shape: [null, ...data] };
    expect(first(fitInput(sequential(input(...shape), dense), data))).toMatchObject([
      'Reshape',
      expected,
      'Dense',
      2,
    ]);
    const itself = layer('Dense', { name: 'out', batch_input_shape: [null, ...shape] });
    expect(first(fitInput(sequential(itself), data))).toMatchObject(['Reshape', expected, 'Dense', 2]);
  });

  it('moves the channels first for a model with channels first', () => {
    const topology = fitInput(sequential(input(2, 9, 8), dense), [9, 8, 2]);
    expect(first(topology)).toMatchObject([
      'Permute',
      { dims: [3, 1, 2], batch_input_shape: [null, 9, 8, 2] },
      'Dense',
      2,
    ]);
  });

  it('keeps the calls of a functional model', () => {
    const topology = fitInput(functional({ ...input(784), name: 'in', inbound_nodes: [] }, dense), IMAGES);
    expect(topology?.config).toMatchObject({
      input_layers: [['samples', 0, 0]],
      output_layers: [['out', 0, 0]],
    });
    expect(layersOf(topology!)).toMatchObject([
      {
        class_name: 'InputLayer',
        config: { name: 'samples', batch_input_shape: [null, 28, 28, 1] },
        inbound_nodes: [],
      },
      {
        class_name: 'Reshape',
        config: { name: 'in', target_shape: [784] },
        inbound_nodes: [[['samples', 0, 0, {}]]],
      },
      { class_name: 'Dense', inbound_nodes: [[['in', 0, 0, {}]]] },
    ]);
  });

  it('finds the input in a nested model at the start', () => {
    const topology = fitInput(sequential({ ...sequential(input(784), dense) }), IMAGES);
    expect(first(topology)).toMatchObject(['Reshape', { target_shape: [784] }, 'Sequential', 2]);
  });

  it.each<[string, Topology, readonly number[]]>([
    ['another size', sequential(input(32, 32, 3), dense), IMAGES],
    ['another arrangement of the same values', sequential(input(14, 56), dense), IMAGES],
    ['two channels in one axis', sequential(input(9, 16), dense), [9, 8, 2]],
    ['an unknown size in another number of axes', sequential(input(null), dense), IMAGES],
    ['no shape', sequential(dense), IMAGES],
    ['no layer', sequential(), IMAGES],
    [
      'two inputs',
      {
        class_name: 'Functional',
        config: {
          layers: [input(784)],
          input_layers: [
            ['in', 0, 0],
            ['b', 0, 0],
          ],
        },
      },
      IMAGES,
    ],
    ['a missing input layer', functional(dense), IMAGES],
  ])('returns null for %s', (_, topology, data) => {
    expect(fitInput(topology, data)).toBeNull();
  });
});

describe('takesBytes', () => {
  const rescaling = (scale: number) => layer('Rescaling', { name: 'r', scale, offset: 0 });
  const called = (one: object, name: string, from: string) => ({
    ...one,
    name,
    inbound_nodes: [[[from, 0, 0, {}]]],
  });

  it.each<[boolean, string, Topology]>([
    [true, 'a Rescaling by 1 / 255', sequential(input(28, 28, 1), rescaling(1 / 255), dense)],
    [
      true,
      'a Rescaling after layers that change only the shape',
      sequential(input(28, 28, 1), layer('Flatten'), rescaling(1 / 127.5)),
    ],
    [
      true,
      'a Rescaling in a functional model',
      functional(input(28, 28, 1), called(rescaling(1 / 255), 'r', 'in')),
    ],
    [false, 'a Rescaling of values', sequential(input(28, 28, 1), rescaling(2), dense)],
    [false, 'a Rescaling after a Dense', sequential(input(28, 28, 1), dense, rescaling(1 / 255))],
    [
      false,
      'a Rescaling on one of two branches',
      functional(input(28, 28, 1), called(rescaling(1 / 255), 'r', 'in'), dense),
    ],
    [false, 'no Rescaling', sequential(input(28, 28, 1), dense)],
    [
      false,
      'layers that call each other in a cycle',
      functional(called(layer('Flatten', { name: 'in' }), 'in', 'in')),
    ],
  ])('is %s for %s', (expected, _, topology) => {
    expect(takesBytes(topology)).toBe(expected);
  });
});
