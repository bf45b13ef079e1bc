import { describe, expect, it } from 'vitest';
import { defaultTopology } from '../../../shared/model/default-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';
import {
  KEYED_DROPOUT,
  usesBatchNormalization,
  withKeyedDropout,
  withSeededInitializers,
} from '../../../shared/model/topology.ts';
import { foldActivations } from '../../../shared/model/fold-activations.ts';
import { classOutput } from '../../../shared/model/stored-job.ts';

interface Layer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly name?: string;
}

const layer = (className: string, name: string, config: object = {}): Layer => ({
  class_name: className,
  config: { name, ...config },
});
const sequential = (name: string, ...layers: Layer[]): Layer & Topology => ({
  class_name: 'Sequential',
  config: { name, layers },
});
const functional = (outputs: unknown, ...layers: Layer[]): Topology => ({
  class_name: 'Functional',
  config: {
    name: 'f',
    layers: layers.map((one) => ({ ...one, name: one.config.name, inbound_nodes: [] })),
    input_layers: [['in', 0, 0]],
    output_layers: outputs,
  },
});
const initializer = (seed?: number | null) => ({
  class_name: 'VarianceScaling',
  config: { scale: 1, mode: 'fan_avg', distribution: 'uniform', ...(seed === undefined ? {} : { seed }) },
});

/** Every layer, also nested ones, as 'name: class number'. */
function dropouts(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { class_name: className, config } = value as Partial<Layer>;
  const own =
    className?.includes('Dropout') && config
      ? [`${String(config.name)}: ${className} ${String(config.number)}`]
      : [];
  return [...own, ...Object.values(value).flatMap(dropouts)];
}

describe('withKeyedDropout', () => {
  it('numbers the dropout layers in order and changes nothing else', () => {
    const original = defaultTopology([28, 28, 1], 10);
    const changed = withKeyedDropout(original);
    expect(dropouts(changed)).toEqual(['dropout_1: KeyedDropout 0', 'dropout_2: KeyedDropout 1']);
    const back = JSON.stringify(changed)
      .replaceAll(KEYED_DROPOUT, 'Dropout')
      .replaceAll(/,"number":\d+/g, '');
    expect(JSON.parse(back)).toEqual(original);
  });

  it('finds dropout in nested models, in wrappers and in models inside wrappers', () => {
    const dropout = (name: string): Layer => layer('Dropout', name, { rate: 0.5 });
    const model = sequential(
      'outer',
      dropout('a'),
      sequential('inner', dropout('b'), sequential('innermost', dropout('c'))),
      layer('TimeDistributed', 'wrapper', { layer: dropout('d') }),
      layer('TimeDistributed', 'model wrapper', { layer: sequential('wrapped', dropout('e')) }),
      layer('TimeDistributed', 'two', { layer: layer('TimeDistributed', 'one', { layer: dropout('f') }) }),
      dropout('g'),
    );
    expect(dropouts(withKeyedDropout(model))).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name, i) => `${name}: KeyedDropout ${i}`),
    );
  });

  it('numbers all random layers in one order', () => {
    const numbers = (value: unknown): string[] => {
      if (typeof value !== 'object' || value === null) return [];
      const { config } = value as Partial<Layer>;
      const own = typeof config?.number !== 'number' ? [] : [`${String(config.name)} ${config.number}`];
      return [...own, ...Object.values(value).flatMap(numbers)];
    };
    const cells = [
      layer('LSTMCell', 'cell 1', { dropout: 0.1 }),
      layer('GRUCell', 'cell 2', { recurrent_dropout: 0 }),
      layer('GRUCell', 'cell 3', { recurrent_dropout: 0.1 }),
    ];
    const model = sequential(
      'm',
      layer('GaussianNoise', 'noise', { stddev: 0 }),
      layer('LSTM', 'without', { dropout: 0, recurrent_dropout: 0 }),
      layer('LSTM', 'lstm', { dropout: 0.1, recurrent_dropout: 0 }),
      layer('RandomRotation', 'rotation', { factor: 0.1 }),
      layer('MultiHeadAttention', 'undropped', { dropout: 0 }),
      layer('MultiHeadAttention', 'dropped', { dropout: 0.1 }),
      layer('Bidirectional', 'both', {
        layer: layer('RNN', 'rnn', { cell: layer('StackedRNNCells', 'cells', { cells }) }),
      }),
      layer('Dropout', 'last', { rate: 0.5 }),
    );
    expect(numbers(withKeyedDropout(model))).toEqual([
      'noise 0',
      'lstm 1',
      'rotation 3',
      'dropped 4',
      'cell 1 5',
      'cell 3 7',
      // The second layer of `both` has 9 to 12.
      'last 13',
    ]);
  });
});

/** Topology without the last softmax, which a cross-entropy computes. */
const withLogits = (topology: Topology): Topology =>
  foldActivations({ topology, outputs: [classOutput('last', 10)] }).topology;

describe('foldActivations', () => {
  const linear = (model: Topology): string | undefined =>
    /"name":"([^"]*)"[^{}]*"activation":"linear"/.exec(JSON.stringify(withLogits(model)))?.[1];

  it('removes the softmax of a dense layer, an activation and a softmax layer', () => {
    const relu = layer('Dense', 'first', { activation: 'relu' });
    expect(linear(sequential('m', relu, layer('Dense', 'last', { activation: 'softmax' })))).toBe('last');
    expect(linear(sequential('m', relu, layer('Activation', 'last', { activation: 'softmax' })))).toBe(
      'last',
    );
    const softmax = withLogits(sequential('m', relu, layer('Softmax', 'last', { axis: -1 })));
    expect(JSON.stringify(softmax)).not.toMatch(/softmax/i);
    expect(linear(sequential('m', relu, layer('Softmax', 'last', { axis: -1 })))).toBe('last');
  });

  it('keeps a softmax inside the model', () => {
    const attention = layer('Dense', 'attention', { activation: 'softmax' });
    const changed = withLogits(sequential('m', attention, layer('Dense', 'last', { activation: 'softmax' })));
    expect(JSON.stringify(changed).match(/softmax/g)).toHaveLength(1);
    expect(linear(sequential('m', attention, layer('Dense', 'last', { activation: 'softmax' })))).toBe(
      'last',
    );
  });

  it.each([
    ['a list of outputs', [['out', 0, 0]]],
    ['one output as Keras 3 writes it', ['out', 0, 0]],
  ])('finds the output of a functional model by its name, with %s', (_, outputs) => {
    const out = layer('Dense', 'out', { activation: 'softmax' });
    const last = layer('Dense', 'unused', { activation: 'relu' });
    expect(linear(functional(outputs, layer('InputLayer', 'in'), out, last))).toBe('out');
  });

  it('keeps the place of a softmax layer in a functional model', () => {
    const model = functional([['out', 0, 0]], layer('InputLayer', 'in'), layer('Softmax', 'out'));
    const { layers } = (withLogits(model) as unknown as { config: { layers: Layer[] } }).config;
    expect(layers[1]).toMatchObject({ class_name: 'Activation', name: 'out', inbound_nodes: [] });
  });

  it('changes no other model', () => {
    const relu = layer('Dense', 'd', { activation: 'relu' });
    const models = [sequential('m', relu), sequential('m'), functional([['gone', 0, 0]], relu)];
    for (const model of models) expect(withLogits(model)).toEqual(model);
  });

  it('changes the outputs whose losses compute an activation, unless other layers use them', () => {
    const out = (name: string, activation: string): Layer => layer('Dense', name, { activation });
    const layers = [
      out('a', 'softmax'),
      out('b', 'sigmoid'),
      out('used', 'softmax'),
      layer('Dense', 'reader'),
    ];
    const references = ['a', 'b', 'used'].map((name) => [name, 0, 0]);
    const outputs = [classOutput('a', 3), classOutput('b', 3), classOutput('used', 3)];
    const multiLabel = { ...classOutput('b', 3), loss: { name: 'binary_crossentropy' as const } };
    const topology = functional(references, ...layers);
    const reader = (topology.config as { layers: Layer[] }).layers[3]!;
    Object.assign(reader, { inbound_nodes: [[['used', 0, 0, {}]]] });
    const { activations } = foldActivations({ topology, outputs: outputs.with(1, multiLabel) });
    expect(activations).toEqual(['softmax', 'sigmoid', null]);
    const regression = { ...classOutput('b', 3), loss: { name: 'mean_squared_error' as const } };
    expect(foldActivations({ topology, outputs: outputs.with(1, regression) }).activations[1]).toBeNull();
    const fromLogits = { ...multiLabel, loss: { ...multiLabel.loss, fromLogits: true } };
    expect(foldActivations({ topology, outputs: outputs.with(1, fromLogits) }).activations[1]).toBe(
      'sigmoid',
    );
    // The focal loss alone takes the sigmoid of what it is told are logits.
    const focal = { ...multiLabel, loss: { name: 'binary_focal_crossentropy' as const, fromLogits: true } };
    expect(foldActivations({ topology, outputs: outputs.with(1, focal) }).activations[1]).toBeNull();
  });
});

describe('usesBatchNormalization', () => {
  const normalization = (config: object): Layer => layer('BatchNormalization', 'n', config);

  it('finds trained batch normalization, also in nested models, and ignores frozen ones', () => {
    expect(usesBatchNormalization(sequential('m', sequential('in', normalization({}))))).toBe(true);
    expect(usesBatchNormalization(sequential('m', normalization({ trainable: true })))).toBe(true);
    expect(usesBatchNormalization(sequential('m', normalization({ trainable: false })))).toBe(false);
    expect(usesBatchNormalization(defaultTopology([28, 28, 1], 10))).toBe(false);
  });
});

describe('withSeededInitializers', () => {
  const dense = (name: string, seed?: number | null): Layer =>
    layer('Dense', name, {
      kernel_initializer: initializer(seed),
      bias_initializer: { class_name: 'Zeros', config: {} },
    });
  const seeds = (model: Topology): (string | undefined)[] =>
    [...JSON.stringify(model).matchAll(/"seed":(\w+)/g)].map(([, seed]) => seed);

  it('gives each initializer its own seed, the same for the same seed of the run', () => {
    const model = sequential('m', dense('a', null), sequential('inner', dense('b', null)), dense('c', null));
    const firstSeeds = seeds(withSeededInitializers(model, 7));
    expect(firstSeeds).toHaveLength(3);
    expect(new Set(firstSeeds).size).toBe(3);
    expect(firstSeeds).not.toContain('null');
    expect(seeds(withSeededInitializers(model, 7))).toEqual(firstSeeds);
    expect(seeds(withSeededInitializers(model, 8))).not.toEqual(firstSeeds);
  });

  it('reaches layers within wrapped models', () => {
    const model = sequential(
      'm',
      layer('TimeDistributed', 'w', { layer: sequential('inner', dense('a', null)) }),
    );
    expect(seeds(withSeededInitializers(model, 7))).not.toContain('null');
  });

  it('keeps existing seeds', () => {
    expect(seeds(withSeededInitializers(sequential('m', dense('a', 42), dense('b', 0)), 7))).toEqual([
      '42',
      '0',
    ]);
  });
});

describe.each([
  ['withKeyedDropout', withKeyedDropout],
  ['foldActivations', withLogits],
  ['withSeededInitializers', (topology: Topology) => withSeededInitializers(topology, 1)],
])('%s', (_, rewrite) => {
  it('does not change its argument', () => {
    const original = defaultTopology([28, 28, 1], 10);
    const before = JSON.stringify(original);
    expect(JSON.stringify(rewrite(original))).not.toBe(before);
    expect(JSON.stringify(original)).toBe(before);
  });

  it('unwraps the topology of keras.Model.save()', () => {
    const bare = defaultTopology([28, 28, 1], 10);
    expect(rewrite({ model_config: bare, keras_version: '2.4.0' })).toEqual(rewrite(bare));
  });

  it.each<Topology>([{}, { class_name: 'Sequential' }, { class_name: 1, config: {} }, { model_config: 'x' }])(
    'rejects %j',
    (topology) => {
      expect(() => rewrite(topology)).toThrow(
        'The topology is not a Keras model: class_name or config is missing.',
      );
    },
  );
});
