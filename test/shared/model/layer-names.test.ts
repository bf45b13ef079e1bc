import { describe, expect, it } from 'vitest';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { call, expanded, functional, input, layer, sequential, type Layer } from './topologies.ts';

describe('names of layers', () => {
  it('are unique, and calls refer to the new names', () => {
    const inner = (name: string) => ({
      ...functional(
        { ...input, name: 'in', inbound_nodes: [] },
        { ...layer('Dense', { units: 3, name: 'out' }), name: 'out', inbound_nodes: call('in') },
      ),
      name,
      inbound_nodes: call(name === 'a' ? 'first' : 'a'),
    });
    const named = (name: string) => {
      const { config, ...rest } = inner(name) as Topology;
      return { ...rest, config: { ...(config as object), name } };
    };
    const outer = expandTopology({
      class_name: 'Functional',
      config: {
        name: 'm',
        layers: [
          { ...input, config: { ...input.config, name: 'first' }, name: 'first', inbound_nodes: [] },
          named('a'),
          named('b'),
        ],
        input_layers: [['first', 0, 0]],
        output_layers: [['b', 0, 0]],
      },
    });
    const names = [...JSON.stringify(outer).matchAll(/"name":"(\w+)"/g)].map(([, name]) => name);
    const [, , second] = (outer as unknown as { config: { layers: Layer[] } }).config.layers;
    expect(new Set(names)).toEqual(new Set(['m', 'first', 'a', 'b', 'in', 'out', 'in_1', 'out_1']));
    expect(second!.config).toMatchObject({
      input_layers: [['in_1', 0, 0]],
      output_layers: [['out_1', 0, 0]],
    });
    expect((second!.config.layers as Layer[])[1]).toMatchObject({
      name: 'out_1',
      inbound_nodes: call('in_1'),
    });
  });

  it('are generated for layers without one', () => {
    const bare = { class_name: 'Dense', config: { units: 2 } };
    expect(expanded(sequential(input, bare, bare)).map(({ config }) => config.name)).toEqual([
      'in',
      'dense',
      'dense_1',
    ]);
  });

  it('must be unique within one model', () => {
    expect(() => expandTopology(sequential(input, layer('Dense'), layer('Flatten')))).toThrow(
      'The model has two layers named x. Give each layer its own name.',
    );
  });

  // tfjs looks layers up in plain objects.
  it.each(['constructor', '__proto__', 'toString'])('must not be %s, which every object has', (name) => {
    const text = `Layer ${name} (Dense) has a name that every object of JavaScript has`;
    const dense = layer('Dense', { name, units: 2 });
    expect(() => expandTopology(sequential(input, dense))).toThrow(text);
    expect(() => expandTopology(sequential(input, sequential(dense)))).toThrow(text);
  });
});
