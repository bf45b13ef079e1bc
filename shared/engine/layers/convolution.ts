import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { biasedConv2d, fusesBias } from '../../kernels/fused-ops.ts';
import { activationOf, isRelu, type Activation } from './activations.ts';
import {
  convolve,
  convolveDepthwise,
  convolveTransposed,
  transposedLength,
  type Convolution,
  type Padding,
} from './convolve.ts';
import {
  numberOf,
  ownLayer,
  singleInput,
  singleShape,
  stockLayer,
  stockLayerClasses,
  type CallArguments,
  type Config,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
  type Weight,
} from './stock.ts';

interface StockConvolution extends tfjs.layers.Layer {
  padding: string;
  readonly dataFormat: string;
  readonly kernelSize: readonly number[];
  readonly strides: readonly number[];
  readonly dilationRate: number | readonly number[];
  readonly kernel: Weight;
  readonly bias: Weight | null;
  readonly activation: Activation | null;
}

/** A number for each axis. */
const forEachAxis = (value: unknown, axes: number): number[] => {
  const values = [value ?? 1].flat() as number[];
  return Array.from({ length: axes }, (_, i) => values[i] ?? values[0] ?? 1);
};

/** Adds the bias and applies the activation of a convolution to its product. @param product [..., channels] */
function finish(
  tf: TF,
  product: tfjs.Tensor,
  bias: Weight | null,
  activation: Activation | null,
  channelsFirst: boolean,
): tfjs.Tensor {
  const biased = bias === null ? product : tf.add(product, bias.read());
  const last = biased.rank - 1;
  const axes = biased.shape.map((_, axis) => axis);
  const output = channelsFirst ? tf.transpose(biased, [0, last, ...axes.slice(1, -1)]) : biased;
  return activation === null ? output : activation.apply(output);
}

/** Input with the channels last. */
function channelsLast(tf: TF, x: tfjs.Tensor, channelsFirst: boolean): tfjs.Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return channelsFirst ? tf.transpose(x, [0, ...axes.slice(2), 1]) : x;
}

/** Input with zeros before its first step, so that no output depends on later steps. @param x [samples, steps, channels] */
const padBefore = (tf: TF, x: tfjs.Tensor, zeros: number): tfjs.Tensor =>
  tf.pad(x, [
    [0, 0],
    [zeros, 0],
    [0, 0],
  ]);

/**
 * Convolution that also computes groups, dilations and padding 'causal'. tfjs-layers has no groups, no gradient of dilations,
 * accepts but does not compute 'causal', and shifts windows of volumes that are smaller than the stride.
 */
function convolutionLayer(tf: TF, axes: 1 | 2 | 3): LayerClass {
  const className = `Conv${axes}D`;
  return class extends stockLayer<StockConvolution>(tf, className) {
    static readonly className = className;
    readonly #groups: number;

    constructor(config: Config) {
      super(config);
      this.#groups = typeof config.groups === 'number' ? config.groups : 1;
    }

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      if (this.#groups === 1) {
        super.build(inputShape);
        return;
      }
      const shape = singleShape(inputShape);
      const axis = this.dataFormat === 'channelsFirst' ? 1 : shape.length - 1;
      const channels = shape[axis] ?? 0;
      if (channels % this.#groups !== 0) {
        throw new Error(
          `Layer ${this.name} (${className}) has ${this.#groups} groups for ${channels} channels. Use a divisor of the channels.`,
        );
      }
      // A kernel sees the channels of one group.
      super.build(shape.with(axis, channels / this.#groups));
      this.inputSpec = [{ ndim: shape.length, axes: { [axis]: channels } }];
    }

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const dilations = forEachAxis(this.dilationRate, axes);
      const isCausal = this.padding === 'causal';
      const isPlain = this.#groups === 1 && !isCausal;
      if (isPlain && (axes === 1 || (axes === 2 && dilations.every((rate) => rate === 1))))
        return tf.tidy(() => this.#fused(inputs) ?? super.call(inputs, kwargs));
      return tf.tidy(() => {
        const channelsFirst = this.dataFormat === 'channelsFirst';
        const input = channelsLast(tf, singleInput(inputs), channelsFirst);
        const [size = 1] = this.kernelSize;
        const x = isCausal ? padBefore(tf, input, (dilations[0] ?? 1) * (size - 1)) : input;
        const padding: Padding = this.padding === 'same' ? 'same' : 'valid';
        const how = { strides: forEachAxis(this.strides, axes), padding, dilations };
        const product = convolve(tf, x, this.kernel.read(), how, this.#groups);
        return finish(tf, product, this.bias, this.activation, channelsFirst);
      });
    }

    /** The output as one op, if this is a convolution of images and the backend has the kernel. */
    #fused(inputs: Inputs): tfjs.Tensor | null {
      const { bias, activation, padding } = this;
      if (axes !== 2 || bias === null || !fusesBias(tf) || this.dataFormat === 'channelsFirst') return null;
      if (padding !== 'same' && padding !== 'valid') return null;
      const [down = 1, right = 1] = this.strides;
      const relu = isRelu(activation);
      const how = { strides: [down, right], padding, relu } as const;
      const output = biasedConv2d(tf, singleInput(inputs), this.kernel.read(), bias.read(), how);
      return activation === null || relu ? output : activation.apply(output);
    }

    override computeOutputShape(inputShape: tfjs.Shape): tfjs.Shape | tfjs.Shape[] {
      if (this.padding !== 'causal') return super.computeOutputShape(inputShape);
      this.padding = 'same';
      try {
        return super.computeOutputShape(inputShape);
      } finally {
        this.padding = 'causal';
      }
    }
  };
}

const conv1dLayer = (tf: TF): LayerClass => convolutionLayer(tf, 1);
const conv2dLayer = (tf: TF): LayerClass => convolutionLayer(tf, 2);
const conv3dLayer = (tf: TF): LayerClass => convolutionLayer(tf, 3);

/** Settings of a convolution of `axes` axes. */
function settingsOf({ settings }: OwnLayer, axes: number): Convolution & { readonly size: number[] } {
  return {
    size: forEachAxis(settings.kernelSize, axes),
    strides: forEachAxis(settings.strides, axes),
    padding: settings.padding === 'same' ? 'same' : 'valid',
    dilations: forEachAxis(settings.dilationRate, axes),
  };
}

/** Length of an axis after a convolution. */
function convolvedLength(
  length: number | null | undefined,
  i: number,
  how: ReturnType<typeof settingsOf>,
): number | null {
  if (length === null || length === undefined) return null;
  const stride = how.strides[i] ?? 1;
  const size = ((how.size[i] ?? 1) - 1) * (how.dilations[i] ?? 1) + 1;
  return Math.ceil((how.padding === 'same' ? length : length - size + 1) / stride);
}

/** Class of transposed convolutions, which tfjs-layers lacks for one axis, without a gradient for three, without output_padding. */
function transposedLayer(tf: TF, axes: 1 | 2 | 3): LayerClass {
  const className = `Conv${axes}DTranspose`;
  return class extends ownLayer(tf) {
    static readonly className = className;
    #kernel: Weight | null = null;
    #bias: Weight | null = null;

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      const filters = numberOf(this, 'filters', 1);
      const { size } = settingsOf(this, axes);
      this.#kernel = this.addTensor(
        'kernel',
        [...size, filters, Number(singleShape(inputShape).at(-1))],
        'kernel',
      );
      if (this.settings.useBias !== false) this.#bias = this.addTensor('bias', [filters], 'bias');
      super.build(inputShape);
    }

    /** Lengths of the axes of the output. */
    #lengths(lengths: readonly (number | null)[]): (number | null)[] {
      const { size, strides, padding } = settingsOf(this, axes);
      const { outputPadding = null } = this.settings;
      const paddings = outputPadding === null ? null : forEachAxis(outputPadding, axes);
      return lengths.map((length, i) =>
        length === null
          ? null
          : transposedLength(length, size[i] ?? 1, strides[i] ?? 1, padding, paddings?.[i] ?? null),
      );
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = singleShape(inputShape);
      return [shape[0] ?? null, ...this.#lengths(shape.slice(1, -1)), numberOf(this, 'filters', 1)];
    }

    override call(inputs: Inputs): tfjs.Tensor {
      const kernel = this.#kernel;
      if (kernel === null) throw new Error(`Layer ${this.name} is not built.`);
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const lengths = this.#lengths(x.shape.slice(1, -1)) as number[];
        const product = convolveTransposed(tf, x, kernel.read(), settingsOf(this, axes), lengths);
        return finish(tf, product, this.#bias, activationOf(tf, this), false);
      });
    }
  };
}

const conv1dTransposeLayer = (tf: TF): LayerClass => transposedLayer(tf, 1);
const conv3dTransposeLayer = (tf: TF): LayerClass => transposedLayer(tf, 3);

/** Conv2DTranspose with output_padding, which tfjs-layers lacks. */
const conv2dTransposeLayer = (tf: TF): LayerClass =>
  chosenLayer(
    tf,
    'Conv2DTranspose',
    transposedLayer(tf, 2),
    ({ outputPadding }) => (outputPadding ?? null) !== null,
  );

/** Class of depthwise convolutions of one axis, which tfjs-layers lacks, and of dilated ones, which it does not compute. */
function depthwiseLayer(tf: TF, axes: 1 | 2, isSeparable: boolean): LayerClass {
  const className = `${isSeparable ? 'Separable' : 'Depthwise'}Conv${axes}D`;
  return class extends ownLayer(tf) {
    static readonly className = className;
    #depthwise: Weight | null = null;
    #pointwise: Weight | null = null;
    #bias: Weight | null = null;

    #outputs(channels: number): number {
      return isSeparable ? numberOf(this, 'filters', 1) : channels * numberOf(this, 'depthMultiplier', 1);
    }

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      const channels = Number(singleShape(inputShape).at(-1));
      const multiplier = numberOf(this, 'depthMultiplier', 1);
      const { size } = settingsOf(this, axes);
      this.#depthwise = this.addTensor('depthwise_kernel', [...size, channels, multiplier], 'depthwise');
      const ones = size.map(() => 1);
      if (isSeparable) {
        const shape = [...ones, channels * multiplier, this.#outputs(channels)];
        this.#pointwise = this.addTensor('pointwise_kernel', shape, 'pointwise');
      }
      if (this.settings.useBias !== false)
        this.#bias = this.addTensor('bias', [this.#outputs(channels)], 'bias');
      super.build(inputShape);
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = singleShape(inputShape);
      const how = settingsOf(this, axes);
      const padding = this.settings.padding === 'causal' ? 'same' : how.padding;
      const lengths = shape.slice(1, -1).map((length, i) => convolvedLength(length, i, { ...how, padding }));
      return [shape[0] ?? null, ...lengths, this.#outputs(Number(shape.at(-1)))];
    }

    override call(inputs: Inputs): tfjs.Tensor {
      const depthwise = this.#depthwise;
      if (depthwise === null) throw new Error(`Layer ${this.name} is not built.`);
      return tf.tidy(() => {
        const input = singleInput(inputs);
        const how = settingsOf(this, axes);
        const [size = 1, dilation = 1] = [how.size[0], how.dilations[0]];
        const x = this.settings.padding === 'causal' ? padBefore(tf, input, dilation * (size - 1)) : input;
        const product = convolveDepthwise(tf, x, depthwise.read(), how);
        const ones = how.size.map(() => 1);
        const point = { strides: ones, padding: 'valid', dilations: ones } as const;
        const output =
          this.#pointwise === null ? product : convolve(tf, product, this.#pointwise.read(), point, 1);
        return finish(tf, output, this.#bias, activationOf(tf, this), false);
      });
    }
  };
}

/** Class that builds a layer of gradcast's own where tfjs-layers' faster layer of the same name does not compute the settings. */
function chosenLayer(
  tf: TF,
  className: string,
  own: LayerClass,
  isOwn: (config: Config) => boolean,
): LayerClass {
  type Layer = new (config: Config) => tfjs.layers.Layer;
  const Own = own as unknown as Layer;
  const Stock = stockLayerClasses(tf)[className] as unknown as Layer;
  // tfjs-layers calls fromConfig() of the registered class, never its constructor.
  const fromConfig = (_class: unknown, config: Config): tfjs.layers.Layer =>
    new (isOwn(config) ? Own : Stock)(config);
  return { className, fromConfig } as unknown as LayerClass;
}

const isDilated = ({ dilationRate }: Config): boolean =>
  forEachAxis(dilationRate, 2).some((rate) => rate !== 1);

const depthwiseConv1dLayer = (tf: TF): LayerClass => depthwiseLayer(tf, 1, false);
const separableConv1dLayer = (tf: TF): LayerClass => depthwiseLayer(tf, 1, true);
const depthwiseConv2dLayer = (tf: TF): LayerClass =>
  chosenLayer(tf, 'DepthwiseConv2D', depthwiseLayer(tf, 2, false), isDilated);
const separableConv2dLayer = (tf: TF): LayerClass =>
  chosenLayer(tf, 'SeparableConv2D', depthwiseLayer(tf, 2, true), isDilated);

export const convolutionLayers: readonly LayerFactory[] = [
  conv1dLayer,
  conv2dLayer,
  conv3dLayer,
  conv1dTransposeLayer,
  conv3dTransposeLayer,
  conv2dTransposeLayer,
  depthwiseConv1dLayer,
  separableConv1dLayer,
  depthwiseConv2dLayer,
  separableConv2dLayer,
];
