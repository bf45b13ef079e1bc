import { describe, expect, it } from 'vitest';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import {
  call,
  expanded,
  expandedConfig,
  functional,
  input,
  layer,
  sequential,
  type Layer,
} from './topologies.ts';

describe('frozen layers and calls', () => {
  it('freezes the layers in a frozen model or wrapper', () => {
    const frozen = sequential(input, {
      class_name: 'Sequential',
      config: { name: 'f', trainable: false, layers: [layer('Dense', { units: 2, trainable: true })] },
    });
    const [, model] = expanded(frozen);
    expect((model!.config.layers as Layer[])[0]!.config.trainable).toBe(false);
    const inner = expandedConfig('TimeDistributed', {
      trainable: false,
      layer: layer('Dense', { name: 'y', units: 2 }),
    });
    expect((inner.layer as Layer).config.trainable).toBe(false);
  });

  const called = (className: string, config: object, ...kwargs: object[]) =>
    functional(
      { ...input, name: 'in', inbound_nodes: [] },
      {
        ...layer(className, { name: 'out', ...config }),
        name: 'out',
        inbound_nodes: kwargs.flatMap((each) => call('in', each)),
      },
    );

  it('keeps the argument training=False if all calls of a layer have it, and rejects it otherwise', () => {
    const [, dropout] = expanded(called('Dropout', { rate: 0.5 }, { training: false }, { training: false }));
    expect(dropout?.inbound_nodes).toEqual([
      ...call('in', { training: false }),
      ...call('in', { training: false }),
    ]);
    expect(() => expandTopology(called('Dropout', { rate: 0.5 }, { training: false }, {}))).toThrow(
      'Layer out (Dropout) is called with training=False in one place and without it in another.',
    );
  });

  it.each([{ training: true }, { initial_state: [1] }, { mask: 'm' }])('rejects a call with %j', (kwargs) => {
    expect(() => expandTopology(called('LSTM', { units: 2 }, kwargs))).toThrow(
      /^Layer out \(LSTM\) is called with /,
    );
  });
});
