import { expandTopology } from '../../shared/model/expand-topology.ts';
import type { Topology } from '../../shared/model/job.ts';
import {
  copyModel,
  isModel,
  layersOf,
  nestedLayers,
  ownEntry,
  type LayerConfig,
} from '../../shared/model/keras-layer.ts';

/** Tensor of a model, with its places in the files of Keras. */
export interface KerasTensor {
  /** Name in tfjs-layers and in NamedWeights: 'bidirectional/forward_lstm/kernel'. */
  readonly name: string;
  /** Path of the dataset in a model.weights.h5 of Keras: 'layers/bidirectional/forward_layer/cell/vars/0'. */
  readonly path: string;
  /** Index of the layer of the outermost model that contains the tensor. */
  readonly layer: number;
  /** Whether neither the tensor nor a layer around it is frozen. */
  readonly trainable: boolean;
}

const KERNEL: readonly string[] = ['kernel', 'bias'];
const RECURRENT: readonly string[] = ['kernel', 'recurrent_kernel', 'bias'];
const STATISTICS: ReadonlySet<string> = new Set(['moving_mean', 'moving_variance']);

/** Tensors of each class of layer, in the order in which Keras saves them. */
const TENSORS: Readonly<Record<string, readonly string[]>> = {
  Dense: KERNEL,
  Conv1D: KERNEL,
  Conv2D: KERNEL,
  Conv3D: KERNEL,
  Conv1DTranspose: KERNEL,
  Conv2DTranspose: KERNEL,
  Conv3DTranspose: KERNEL,
  DepthwiseConv1D: ['depthwise_kernel', 'bias'],
  DepthwiseConv2D: ['depthwise_kernel', 'bias'],
  SeparableConv1D: ['depthwise_kernel', 'pointwise_kernel', 'bias'],
  SeparableConv2D: ['depthwise_kernel', 'pointwise_kernel', 'bias'],
  PReLU: ['alpha'],
  Embedding: ['embeddings'],
  BatchNormalization: ['gamma', 'beta', ...STATISTICS],
  LayerNormalization: ['gamma', 'beta'],
  GroupNormalization: ['gamma', 'beta'],
  RMSNormalization: ['scale'],
  EinsumDense: KERNEL,
  Attention: ['scale', 'concat_score_weight'],
  AdditiveAttention: ['scale'],
  SimpleRNNCell: RECURRENT,
  LSTMCell: RECURRENT,
  GRUCell: RECURRENT,
  ConvLSTMCell: RECURRENT,
};

/** Setting without which a layer lacks a tensor. */
const FLAGS: Readonly<Record<string, string>> = { bias: 'use_bias', beta: 'center', gamma: 'scale' };

/** Whether the settings of a layer give it a tensor. */
function hasTensor({ class_name: className, config }: LayerConfig, tensor: string): boolean {
  if (tensor === 'concat_score_weight') return config.score_mode === 'concat';
  if (tensor === 'scale' && className !== 'RMSNormalization') return config.use_scale === true;
  if (tensor === 'bias' && className === 'EinsumDense') return (config.bias_axes ?? null) !== null;
  return config[ownEntry(FLAGS, tensor) ?? ''] !== false;
}

/** Dense layers inside attention layers: the beginning of their tensors' names, and their attribute in Keras. */
const PROJECTIONS = [
  ['query', 'query_dense'],
  ['key', 'key_dense'],
  ['value', 'value_dense'],
  ['attention_output', 'output_dense'],
] as const;

/** Prefix of the attributes of PROJECTIONS in the files of Keras, by the class of their layer. */
const PROJECTING: Readonly<Record<string, string>> = { MultiHeadAttention: '', GroupQueryAttention: '_' };

/** Recurrent layers with a cell that is not in their configuration. */
const IMPLICIT_CELLS: Readonly<Record<string, string>> = {
  SimpleRNN: 'SimpleRNNCell',
  LSTM: 'LSTMCell',
  GRU: 'GRUCell',
  ConvLSTM1D: 'ConvLSTMCell',
  ConvLSTM2D: 'ConvLSTMCell',
  ConvLSTM3D: 'ConvLSTMCell',
};

/**
 * The tensors of a model in the order in which Keras saves them: layer by layer, in each layer as its variables are numbered.
 * @throws the errors of expandTopology
 */
export function kerasTensors(topology: Topology): KerasTensor[] {
  const found: KerasTensor[] = [];
  layersWithPaths(copyModel(expandTopology(topology)), '').forEach(([layer, path], i) =>
    collect(layer, { path, layer: i, prefix: null }, found),
  );
  return found;
}

interface Place {
  readonly path: string;
  readonly layer: number;
  /** Beginning of the names of tensors; null for the layer's own name. */
  readonly prefix: string | null;
}

function collect(layer: LayerConfig, place: Place, found: KerasTensor[]): void {
  const { class_name: className, config } = layer;
  const { path } = place;
  const prefix = place.prefix ?? String(config.name);
  if (isModel(layer)) {
    for (const [inner, innerPath] of layersWithPaths(layer, path))
      collect(inner, { ...place, path: innerPath }, found);
    return;
  }
  const cell = ownEntry(IMPLICIT_CELLS, className);
  if (cell !== undefined) {
    collect({ class_name: cell, config }, { ...place, path: `${path}/cell`, prefix }, found);
    return;
  }
  const attribute = ownEntry(PROJECTING, className);
  if (attribute !== undefined) {
    for (const [name, dense] of PROJECTIONS) {
      const projection = { class_name: 'Dense', config };
      collect(
        projection,
        { ...place, path: `${path}/${attribute}${dense}`, prefix: `${prefix}/${name}` },
        found,
      );
    }
    return;
  }
  const inner = nestedLayers(layer);
  const [first] = inner;
  if (className === 'StackedRNNCells') {
    withUniqueNames(inner).forEach(([member, name], i) =>
      collect(member, { ...place, path: `${path}/cells/${name}`, prefix: `${prefix}/RNNCell_${i}` }, found),
    );
  } else if (className === 'Bidirectional' && first !== undefined) {
    for (const side of ['forward', 'backward']) {
      const name = `${prefix}/${side}_${String(first.config.name)}`;
      collect(first, { ...place, path: `${path}/${side}_layer`, prefix: name }, found);
    }
  } else if (first !== undefined) {
    collect(first, { ...place, path: `${path}/${className === 'RNN' ? 'cell' : 'layer'}`, prefix }, found);
  } else {
    (ownEntry(TENSORS, className) ?? [])
      .filter((tensor) => hasTensor(layer, tensor))
      .forEach((tensor, i) =>
        found.push({
          name: `${prefix}/${tensor}`,
          path: `${path}/vars/${i}`,
          layer: place.layer,
          trainable: config.trainable !== false && !STATISTICS.has(tensor),
        }),
      );
  }
}

const layersWithPaths = (model: LayerConfig, path: string): [LayerConfig, string][] =>
  withUniqueNames(layersOf(model)).map(([layer, name]) => [
    layer,
    `${path === '' ? '' : `${path}/`}layers/${name}`,
  ]);

/** Classes that Keras 3 calls otherwise in paths. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  Model: 'Functional',
  GroupQueryAttention: 'GroupedQueryAttention',
};

/** Layers with the names of their classes, numbered from the second of a class on, as in Keras' saving_lib. */
function withUniqueNames(layers: readonly LayerConfig[]): [LayerConfig, string][] {
  const used = new Map<string, number>();
  return layers.map((layer) => {
    const name = kerasSnakeCase(ownEntry(OTHER_NAMES, layer.class_name) ?? layer.class_name);
    const count = used.get(name) ?? 0;
    used.set(name, count + 1);
    return [layer, count === 0 ? name : `${name}_${count}`];
  });
}

/** Name of a class as Keras writes it in paths: PReLU becomes p_re_lu. */
const kerasSnakeCase = (name: string): string =>
  name
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
