import { defaultTopology } from './default-topology.ts';
import type { Topology } from './job.ts';
import type { TensorSpec } from './tensors.ts';

/** Mean and standard deviation of each value of a sample. */
export interface Statistics {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Data that a default model is made for. */
export interface DefaultModelData {
  /** The only input. */
  readonly input: TensorSpec;
  readonly targets: readonly TensorSpec[];
  /** Statistics of an input of numbers that are not standardized; null if they are. */
  readonly inputStatistics: Statistics | null;
  /** Statistics of each target of numbers; null for classes. */
  readonly targetStatistics: readonly (Statistics | null)[];
}

interface Layer {
  readonly class_name: string;
  readonly config: Record<string, unknown> & { readonly name: string };
}

const EMBEDDING_SIZE = 64;
const RECURRENT_UNITS = 128;

const glorotUniform = {
  class_name: 'VarianceScaling',
  config: { scale: 1, mode: 'fan_avg', distribution: 'uniform', seed: null },
};
const zeros = { class_name: 'Zeros', config: {} };

const dense = (name: string, units: number, activation: string): Layer => ({
  class_name: 'Dense',
  config: {
    name,
    units,
    activation,
    use_bias: true,
    kernel_initializer: glorotUniform,
    bias_initializer: zeros,
    trainable: true,
  },
});

const dropout = (name: string): Layer => ({
  class_name: 'Dropout',
  config: { name, rate: 0.3, noise_shape: null, seed: null, trainable: true },
});

/** Whether the samples are images, for which the default model is a CNN. */
const isImage = ({ shape }: TensorSpec): boolean => shape.length === 3;
/** Whether the samples are sequences of tokens. */
export const isTokens = ({ shape, classes }: TensorSpec): boolean =>
  shape.length === 1 && classes !== undefined;

/**
 * Whether the default model is the CNN for images of classes: Keras' example, with its optimizer and batch size.
 * @param data its first input and its targets
 */
export const isDefaultCnn = ({ input, targets }: Pick<DefaultModelData, 'input' | 'targets'>): boolean =>
  isImage(input) &&
  targets.length === 1 &&
  targets[0]?.classes !== undefined &&
  targets[0].shape.length === 0;

/**
 * Topology of the default model for a kind of data: a CNN for images, an embedding and a GRU for tokens, two dense layers for other
 * numbers. A class ends in a softmax. A number ends in its mean and deviation, so that the model's outputs have the unit of
 * the target while its layers see values around 0.
 */
export function defaultModel(data: DefaultModelData): Topology {
  const { input, targets, targetStatistics } = data;
  const [target] = targets;
  if (isDefaultCnn(data)) return defaultTopology(input.shape, target?.classes ?? 0);
  const shared = body(data);
  const heads = targets.map((spec, i) =>
    head(spec, targetStatistics[i] ?? null, targets.length > 1 ? layerName(spec.name, i) : 'output'),
  );
  const [only, ...others] = heads;
  const first = { batch_input_shape: [null, ...input.shape], dtype: 'float32' };
  if (only !== undefined && others.length === 0) {
    const [start, ...rest] = [...shared, ...only] as [Layer, ...Layer[]];
    return {
      class_name: 'Sequential',
      config: {
        name: 'default_model',
        layers: [{ ...start, config: { ...start.config, ...first } }, ...rest],
      },
    };
  }
  const connect = (layers: readonly Layer[], from: string): object[] =>
    layers.map((layer, i) => ({
      ...layer,
      name: layer.config.name,
      inbound_nodes: [[[i === 0 ? from : layers[i - 1]?.config.name, 0, 0, {}]]],
    }));
  const bodyEnd = shared.at(-1)?.config.name ?? 'samples';
  return {
    class_name: 'Model',
    config: {
      name: 'default_model',
      layers: [
        {
          class_name: 'InputLayer',
          name: 'samples',
          config: { name: 'samples', ...first, sparse: false },
          inbound_nodes: [],
        },
        ...connect(shared, 'samples'),
        ...heads.flatMap((layers) => connect(layers, bodyEnd)),
      ],
      input_layers: [['samples', 0, 0]],
      output_layers: heads.map((layers) => [layers.at(-1)?.config.name, 0, 0]),
    },
  };
}

/** Layers before the targets. */
function body({ input, targets, inputStatistics }: DefaultModelData): Layer[] {
  if (isTokens(input)) {
    return [
      {
        class_name: 'Embedding',
        config: {
          name: 'embedding',
          input_dim: input.classes,
          output_dim: EMBEDDING_SIZE,
          embeddings_initializer: {
            class_name: 'RandomUniform',
            config: { minval: -0.05, maxval: 0.05, seed: null },
          },
          mask_zero: false,
          input_length: null,
          trainable: true,
        },
      },
      {
        class_name: 'GRU',
        config: {
          name: 'gru',
          units: RECURRENT_UNITS,
          activation: 'tanh',
          recurrent_activation: 'sigmoid',
          use_bias: true,
          kernel_initializer: glorotUniform,
          recurrent_initializer: { class_name: 'Orthogonal', config: { gain: 1, seed: null } },
          bias_initializer: zeros,
          // A target for each token, or one for all.
          return_sequences: targets.every(({ shape }) => shape.length === 1),
          reset_after: true,
          trainable: true,
        },
      },
    ];
  }
  return [
    ...(input.shape.length === 1
      ? []
      : [
          {
            class_name: input.shape.length === 0 ? 'Reshape' : 'Flatten',
            config: {
              name: 'flat',
              ...(input.shape.length === 0 ? { target_shape: [1] } : {}),
              trainable: true,
            },
          },
        ]),
    ...(inputStatistics === null
      ? []
      : [
          {
            class_name: 'Normalization',
            config: {
              name: 'normalization',
              axis: -1,
              mean: inputStatistics.mean,
              variance: inputStatistics.std.map((std) => std ** 2),
              trainable: true,
            },
          },
        ]),
    dense('dense_1', 128, 'relu'),
    dropout('dropout_1'),
    dense('dense_2', 64, 'relu'),
    dropout('dropout_2'),
  ];
}

/** Layers of one target, of which the last one has the given name. */
function head({ shape, classes }: TensorSpec, statistics: Statistics | null, name: string): Layer[] {
  if (classes !== undefined) return [dense(name, classes, 'softmax')];
  const units = shape.reduce((product, side) => product * side, 1);
  const reshaped =
    shape.length > 1
      ? [{ class_name: 'Reshape', config: { name: `${name}_shape`, target_shape: shape, trainable: true } }]
      : [];
  if (statistics === null || reshaped.length > 0) {
    return [dense(reshaped.length > 0 ? `${name}_values` : name, units, 'linear'), ...reshaped];
  }
  const { mean, std } = statistics;
  const standardized = dense(`${name}_standardized`, units, 'linear');
  if (units === 1) {
    return [
      standardized,
      { class_name: 'Rescaling', config: { name, scale: std[0], offset: mean[0], trainable: true } },
    ];
  }
  const variance = std.map((value) => value ** 2);
  return [
    standardized,
    {
      class_name: 'Normalization',
      config: { name, axis: -1, mean, variance, invert: true, trainable: true },
    },
  ];
}

/** Name for a layer, which Keras and files of weights restrict; different for each target. */
function layerName(target: string, index: number): string {
  const name = target.replaceAll(/[^A-Za-z0-9_.-]/g, '_').slice(0, 60);
  return /^[A-Za-z0-9]/.test(name) && !RESERVED.has(name) ? name : `output_${index + 1}`;
}

const RESERVED: ReadonlySet<string> = new Set([
  'samples',
  'embedding',
  'gru',
  'flat',
  'normalization',
  'dense_1',
  'dense_2',
]);
