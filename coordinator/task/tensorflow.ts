/**
 * Output of a layer in a model that is being built.
 * @example
 * ```ts
 * const input: SymbolicTensor = tf.input({ shape: [4] });
 * ```
 */
export interface SymbolicTensor {
  readonly shape: readonly (number | null)[];
}

/**
 * Layer of TensorFlow.js.
 * @example
 * ```ts
 * const layer: Layer = tf.layers.dense({ units: 1 });
 * ```
 */
export interface Layer {
  readonly name: string;
  apply(inputs: SymbolicTensor | SymbolicTensor[]): SymbolicTensor | SymbolicTensor[];
}

/** Names of the functions that make layers: those of TensorFlow.js whose layers gradcast trains. */
type LayerName =
  | (
      | 'inputLayer'
      | 'dense'
      | 'activation'
      | 'flatten'
      | 'reshape'
      | 'permute'
      | 'repeatVector'
      | 'dropout'
      | 'masking'
    )
  | (
      | 'conv1d'
      | 'conv2d'
      | 'conv2dTranspose'
      | 'separableConv2d'
      | 'depthwiseConv2d'
      | 'conv3d'
      | 'conv3dTranspose'
    )
  | ('maxPooling1d' | 'maxPooling2d' | 'maxPooling3d' | 'maxPool1d' | 'maxPool2d')
  | ('averagePooling1d' | 'averagePooling2d' | 'averagePooling3d')
  | ('avgPooling1d' | 'avgPooling2d' | 'avgPooling3d' | 'avgPool1d' | 'avgPool2d' | 'avgPool3d')
  | ('globalMaxPooling1d' | 'globalMaxPooling2d' | 'globalMaxPool1d' | 'globalMaxPool2d')
  | ('globalAveragePooling1d' | 'globalAveragePooling2d')
  | ('zeroPadding2d' | 'upSampling2d' | 'cropping2D' | 'batchNormalization' | 'layerNormalization')
  | ('rescaling' | 'resizing' | 'centerCrop' | 'categoryEncoding')
  | ('embedding' | 'simpleRNN' | 'gru' | 'lstm' | 'rnn' | 'bidirectional' | 'timeDistributed' | 'convLstm2d')
  | ('simpleRNNCell' | 'gruCell' | 'lstmCell' | 'stackedRNNCells')
  | ('add' | 'multiply' | 'average' | 'maximum' | 'minimum' | 'concatenate' | 'dot')
  | ('elu' | 'leakyReLU' | 'prelu' | 'reLU' | 'softmax' | 'thresholdedReLU')
  | ('gaussianNoise' | 'gaussianDropout' | 'alphaDropout');

/**
 * A model of TensorFlow.js: the part of a `tf.LayersModel` that is read. It may come from another copy of TensorFlow.js.
 * @example
 * ```ts
 * const model: LayersModel = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4] })] });
 * ```
 */
export interface LayersModel {
  /** Topology as Keras writes it. */
  toJSON(unused: unknown, returnString: false): unknown;
  /** Weights with their names, in the order of the layers. */
  readonly weights: readonly {
    readonly originalName: string;
    read(): { readonly shape: readonly number[]; data(): Promise<ArrayLike<number>> };
  }[];
}

/**
 * TensorFlow.js as far as models are built with it. The types of the whole package would need those of browsers and GPUs in every
 * program.
 * @example
 * ```ts
 * const build = (tf: TensorFlow) => tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4] })] });
 * ```
 */
export interface TensorFlow {
  /** Functions that make a layer; their settings are those of TensorFlow.js. */
  readonly layers: Readonly<Record<LayerName, (settings?: object) => Layer>>;
  sequential(settings: { readonly layers: readonly Layer[]; readonly name?: string }): LayersModel;
  input(settings: {
    readonly shape: readonly (number | null)[];
    readonly name?: string;
    readonly dtype?: string;
  }): SymbolicTensor;
  model(settings: {
    readonly inputs: SymbolicTensor | SymbolicTensor[];
    readonly outputs: SymbolicTensor | SymbolicTensor[];
    readonly name?: string;
  }): LayersModel;
}
