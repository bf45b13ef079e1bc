import { ownEntry } from './keras-layer.ts';
import {
  absent,
  activation,
  any,
  counts,
  countsOrNull,
  dtype,
  equation,
  everyDimension,
  finiteNumber,
  flag,
  initializer,
  inputNames,
  nested,
  noiseShape,
  numbers,
  range,
  sizesWithWildcard,
  noPenalty,
  outputRegularizer,
  oneCount,
  oneOf,
  strictlyOneOf,
  tensors,
  wholeNumber,
  wholeNumbers,
  wholeNumbersOrNull,
  type Rule,
} from './layer-rules.ts';

// Every layer that gradcast trains, with every key of its configuration and the values that tfjs-layers 4.22 (with the
// corrections of shared/engine) computes as Keras 2 and 3 do. Sources: the constructors and get_config of both. Other classes and
// keys are rejected, so compare a new key with Keras (test/reference) before you add it.

type Rules = Readonly<Record<string, Rule>>;

const COMMON: Rules = {
  name: any,
  trainable: flag,
  dtype,
  batch_input_shape: any,
  quantization_config: absent,
  activity_regularizer: outputRegularizer,
};

const dataFormat = oneOf('channels_last', 'channels_first');
const channelsLast = oneOf('channels_last');
const padding = oneOf('valid', 'same');
const causalPadding = oneOf('valid', 'same', 'causal');

const CONV: Rules = {
  kernel_size: counts,
  strides: counts,
  padding,
  data_format: dataFormat,
  dilation_rate: counts,
  activation,
  use_bias: flag,
};
const CONV_WITH_FILTERS: Rules = { ...CONV, filters: counts, ...tensors('kernel', 'bias') };
const TRANSPOSED: Rules = {
  ...CONV_WITH_FILTERS,
  // TensorFlow has no dilated transposed convolutions on CPUs.
  dilation_rate: everyDimension(1),
  groups: oneOf(1),
  output_padding: wholeNumbersOrNull,
};
/** Keys of convolutions that compute each channel alone. */
const DEPTHWISE: Rules = { ...CONV, groups: oneOf(1), depth_multiplier: counts };
const POOL: Rules = { pool_size: counts, strides: countsOrNull, padding, data_format: dataFormat };
const ADAPTIVE_POOL: Rules = { output_size: counts, data_format: dataFormat };
const GLOBAL_POOL: Rules = { data_format: dataFormat, keepdims: flag };

const CELL: Rules = {
  units: counts,
  activation,
  use_bias: flag,
  ...tensors('kernel', 'recurrent', 'bias'),
  dropout: finiteNumber,
  recurrent_dropout: finiteNumber,
  // Random numbers are keyed by the seed of the run.
  seed: any,
};
/** Keys of LSTM and GRU cells. `implementation` does not change the result. */
const GATED_CELL: Rules = {
  ...CELL,
  recurrent_activation: { ...activation, defaultValue: 'sigmoid' },
  implementation: any,
};
const LSTM_CELL: Rules = { ...GATED_CELL, unit_forget_bias: { ...flag, defaultValue: true } };
const GRU_CELL: Rules = { ...GATED_CELL, reset_after: flag };
const RECURRENT: Rules = {
  return_sequences: flag,
  return_state: flag,
  go_backwards: flag,
  stateful: absent,
  unroll: any,
  time_major: absent,
  zero_output_for_mask: flag,
  input_length: any,
};

const CONV_LSTM: Rules = {
  ...CONV,
  ...RECURRENT,
  filters: counts,
  data_format: channelsLast,
  activation: { ...activation, defaultValue: 'tanh' },
  recurrent_activation: { ...activation, defaultValue: 'sigmoid' },
  unit_forget_bias: { ...flag, defaultValue: true },
  ...tensors('kernel', 'recurrent', 'bias'),
  dropout: finiteNumber,
  recurrent_dropout: finiteNumber,
  seed: any,
};

const NORMALIZATION: Rules = {
  epsilon: finiteNumber,
  center: flag,
  scale: flag,
  ...tensors('beta', 'gamma'),
};

const ATTENTION: Rules = {
  dropout: finiteNumber,
  seed: any,
  // A way to compute the same.
  flash_attention: any,
  use_causal_mask: flag,
};
const HEADS: Rules = {
  ...ATTENTION,
  use_bias: flag,
  use_gate: absent,
  sliding_window: absent,
  activity_regularizer: noPenalty,
  ...tensors('kernel', 'bias'),
};

/** Keys of layers that merge masks: 'any' is Keras 3's way, and without it a step counts if it does in all inputs, as in Keras 2. */
const MERGING: Rules = { mask_merge: oneOf('any') };

/** Keys of layers that change images at random. */
const AUGMENTATION: Rules = { seed: any, rng_type: any, data_format: dataFormat };
const MOVING: Rules = {
  ...AUGMENTATION,
  fill_mode: oneOf('reflect', 'wrap', 'constant', 'nearest'),
  fill_value: finiteNumber,
  interpolation: oneOf('bilinear', 'nearest'),
};

const TABLE: Readonly<Record<string, Rules>> = {
  InputLayer: { sparse: absent, ragged: absent, optional: absent, type_spec: absent },
  Dense: {
    units: counts,
    activation,
    use_bias: flag,
    ...tensors('kernel', 'bias'),
  },
  Activation: { activation },
  Dropout: { rate: finiteNumber, seed: any, noise_shape: noiseShape },
  AlphaDropout: { rate: finiteNumber, seed: any, rng_type: any, noise_shape: noiseShape },
  GaussianDropout: { rate: finiteNumber, seed: any, rng_type: any },
  GaussianNoise: { stddev: finiteNumber, seed: any, rng_type: any },
  RandomCrop: { ...AUGMENTATION, height: oneCount, width: oneCount },
  RandomFlip: { ...AUGMENTATION, mode: oneOf('horizontal_and_vertical', 'horizontal', 'vertical') },
  RandomRotation: { ...MOVING, factor: range },
  RandomTranslation: { ...MOVING, height_factor: range, width_factor: range },
  RandomZoom: { ...MOVING, height_factor: range, width_factor: range },
  RandomContrast: { ...AUGMENTATION, factor: range, value_range: numbers },
  RandomBrightness: { ...AUGMENTATION, factor: range, value_range: numbers },
  Flatten: { data_format: dataFormat },
  Reshape: { target_shape: sizesWithWildcard },
  Permute: { dims: wholeNumbers },
  RepeatVector: { n: counts },

  Conv1D: { ...CONV_WITH_FILTERS, groups: counts, padding: causalPadding, data_format: channelsLast },
  Conv2D: { ...CONV_WITH_FILTERS, groups: counts },
  Conv3D: { ...CONV_WITH_FILTERS, groups: counts, data_format: channelsLast },
  Conv1DTranspose: { ...TRANSPOSED, data_format: channelsLast },
  Conv2DTranspose: TRANSPOSED,
  Conv3DTranspose: { ...TRANSPOSED, data_format: channelsLast },
  DepthwiseConv1D: { ...DEPTHWISE, data_format: channelsLast, ...tensors('depthwise', 'bias') },
  DepthwiseConv2D: { ...DEPTHWISE, data_format: channelsLast, ...tensors('depthwise', 'bias') },
  SeparableConv1D: {
    ...DEPTHWISE,
    padding: causalPadding,
    data_format: channelsLast,
    filters: counts,
    ...tensors('depthwise', 'pointwise', 'bias'),
  },
  SeparableConv2D: {
    ...DEPTHWISE,
    // With channels first, tfjs adds the bias along the wrong axis.
    data_format: channelsLast,
    filters: counts,
    ...tensors('depthwise', 'pointwise', 'bias'),
  },

  MaxPooling1D: { ...POOL, data_format: channelsLast },
  MaxPooling2D: POOL,
  MaxPooling3D: { ...POOL, data_format: channelsLast },
  AveragePooling1D: { ...POOL, data_format: channelsLast },
  AveragePooling2D: POOL,
  AveragePooling3D: { ...POOL, data_format: channelsLast },
  GlobalMaxPooling1D: GLOBAL_POOL,
  GlobalMaxPooling2D: GLOBAL_POOL,
  GlobalMaxPooling3D: GLOBAL_POOL,
  GlobalAveragePooling1D: GLOBAL_POOL,
  GlobalAveragePooling2D: GLOBAL_POOL,
  GlobalAveragePooling3D: GLOBAL_POOL,
  AdaptiveAveragePooling1D: ADAPTIVE_POOL,
  AdaptiveAveragePooling2D: ADAPTIVE_POOL,
  AdaptiveAveragePooling3D: ADAPTIVE_POOL,
  AdaptiveMaxPooling1D: ADAPTIVE_POOL,
  AdaptiveMaxPooling2D: ADAPTIVE_POOL,
  AdaptiveMaxPooling3D: ADAPTIVE_POOL,
  ZeroPadding2D: { padding: wholeNumbers, data_format: dataFormat },
  Cropping2D: { cropping: wholeNumbers, data_format: dataFormat },
  ZeroPadding1D: { padding: wholeNumbers, data_format: dataFormat },
  ZeroPadding3D: { padding: wholeNumbers, data_format: dataFormat },
  Cropping1D: { cropping: wholeNumbers, data_format: dataFormat },
  Cropping3D: { cropping: wholeNumbers, data_format: dataFormat },
  UpSampling1D: { size: counts },
  UpSampling2D: {
    size: counts,
    data_format: dataFormat,
    interpolation: oneOf('nearest', 'bilinear', 'bicubic', 'lanczos3', 'lanczos5'),
  },
  UpSampling3D: { size: counts, data_format: dataFormat },

  ReLU: { max_value: finiteNumber, negative_slope: finiteNumber, threshold: finiteNumber },
  LeakyReLU: { alpha: finiteNumber },
  ThresholdedReLU: { theta: finiteNumber },
  PReLU: { ...tensors('alpha'), shared_axes: wholeNumbers },
  ELU: { alpha: finiteNumber },
  Softmax: { axis: { ...wholeNumbers, defaultValue: -1 } },

  BatchNormalization: {
    ...NORMALIZATION,
    axis: wholeNumber,
    momentum: finiteNumber,
    moving_mean_initializer: initializer,
    moving_variance_initializer: initializer,
    renorm: absent,
    renorm_clipping: any,
    renorm_momentum: any,
    virtual_batch_size: absent,
    fused: any,
    synchronized: absent,
  },
  LayerNormalization: { ...NORMALIZATION, axis: wholeNumbers, rms_scaling: absent },
  GroupNormalization: { ...NORMALIZATION, axis: wholeNumber, groups: wholeNumber },
  // Keras computes other axes only where shapes fit by chance.
  RMSNormalization: { axis: strictlyOneOf(-1, [-1]), epsilon: finiteNumber, ...tensors('scale') },
  UnitNormalization: { axis: wholeNumbers },
  // adapt() stores its statistics with the weights, not in the topology.
  Normalization: { axis: wholeNumbers, mean: numbers, variance: numbers, invert: flag },

  MultiHeadAttention: {
    ...HEADS,
    num_heads: counts,
    key_dim: counts,
    value_dim: counts,
    output_shape: oneCount,
    attention_axes: strictlyOneOf(1, [1]),
    input_order: inputNames,
    // Keras 2 writes the shapes with which it was built.
    query_shape: any,
    key_shape: any,
    value_shape: any,
    // Keras 2's way to keep scores of a softmax finite.
    softmax_robust_masking: any,
  },
  GroupQueryAttention: {
    ...HEADS,
    input_order: inputNames,
    head_dim: counts,
    num_query_heads: counts,
    num_key_value_heads: counts,
  },
  Attention: {
    ...ATTENTION,
    use_scale: flag,
    score_mode: oneOf('dot', 'concat'),
    ...tensors('scale', 'concat_score_weight'),
  },
  AdditiveAttention: { ...ATTENTION, use_scale: flag, ...tensors('scale') },

  Subtract: MERGING,
  Add: MERGING,
  Multiply: {},
  Average: MERGING,
  Maximum: MERGING,
  Minimum: MERGING,
  Concatenate: {
    axis: { accepts: (value) => Number.isInteger(value) && value !== 0, expected: 'axis 0 is the batch' },
  },
  Dot: { axes: wholeNumbers, normalize: flag },

  Embedding: {
    input_dim: counts,
    output_dim: counts,
    ...tensors('embeddings'),
    mask_zero: flag,
    input_length: any,
  },
  SimpleRNN: { ...CELL, ...RECURRENT },
  LSTM: { ...LSTM_CELL, ...RECURRENT },
  GRU: { ...GRU_CELL, ...RECURRENT },
  ConvLSTM1D: CONV_LSTM,
  ConvLSTM2D: CONV_LSTM,
  ConvLSTM3D: CONV_LSTM,
  RNN: { ...RECURRENT, cell: nested, num_constants: absent },
  SimpleRNNCell: CELL,
  LSTMCell: LSTM_CELL,
  GRUCell: GRU_CELL,
  StackedRNNCells: { cells: any },
  Bidirectional: {
    layer: nested,
    merge_mode: strictlyOneOf('concat', 'sum', 'ave', 'mul'),
    num_constants: absent,
  },
  TimeDistributed: { layer: nested },
  Masking: { mask_value: finiteNumber },
  Identity: {},
  EinsumDense: {
    equation,
    output_shape: sizesWithWildcard,
    activation,
    bias_axes: any,
    ...tensors('kernel', 'bias'),
  },
  Resizing: {
    height: oneCount,
    width: oneCount,
    interpolation: oneOf('bilinear', 'nearest', 'bicubic', 'lanczos3', 'lanczos5'),
    data_format: dataFormat,
    crop_to_aspect_ratio: absent,
    pad_to_aspect_ratio: absent,
    antialias: absent,
    // They concern only what is added to keep the ratio of the sides.
    fill_mode: any,
    fill_value: any,
  },
  CenterCrop: { height: oneCount, width: oneCount, data_format: dataFormat },
  CategoryEncoding: {
    num_tokens: oneCount,
    output_mode: oneOf('multi_hot', 'one_hot', 'count'),
    sparse: absent,
  },
  Discretization: {
    bin_boundaries: numbers,
    // How the boundaries were found.
    num_bins: any,
    epsilon: any,
    output_mode: oneOf('int', 'one_hot', 'multi_hot', 'count'),
    sparse: absent,
  },
  Rescaling: { scale: finiteNumber, offset: finiteNumber },
  // checkOperations() checks these.
  Operation: { operation: any, operands: any, settings: any },
};

const MODEL: Rules = {
  name: any,
  trainable: flag,
  dtype,
  layers: any,
  input_layers: any,
  output_layers: any,
  build_input_shape: any,
};
const MODELS: Readonly<Record<string, Rules>> = { Sequential: MODEL, Functional: MODEL, Model: MODEL };

/** Rules of all keys of a layer's class, or null if the class is not supported. */
export function rulesOf(className: string): Rules | null {
  const model = ownEntry(MODELS, className);
  if (model !== undefined) return model;
  const layer = ownEntry(TABLE, className);
  return layer === undefined ? null : { ...COMMON, ...layer };
}

/** Classes of the table, for tests. */
export const LAYER_CLASSES: readonly string[] = Object.keys(TABLE);
