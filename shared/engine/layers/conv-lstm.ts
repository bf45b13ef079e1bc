import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { namedActivation, type Activation } from './activations.ts';
import { convolve, type Convolution, type Padding } from './convolve.ts';
import { drawerOf } from './noise.ts';
import {
  numberOf,
  ownLayer,
  singleInput,
  singleShape,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
  type Weight,
} from './stock.ts';

/** Gates of the cell, in Keras' order: input, forget, candidate, output. */
const GATES = 4;

/** A number for each axis. */
const forEachAxis = (value: unknown, axes: number): number[] => {
  const values = [value ?? 1].flat() as number[];
  return Array.from({ length: axes }, (_, i) => values[i] ?? values[0] ?? 1);
};

/** Length of an axis after a convolution. */
function convolvedLength(
  length: number,
  kernel: number,
  stride: number,
  dilation: number,
  padding: Padding,
): number {
  const reach = padding === 'same' ? 1 : (kernel - 1) * dilation + 1;
  return Math.ceil((length - reach + 1) / stride);
}

/**
 * LSTM whose products with the kernels are convolutions of one to three axes. Source: Shi et al., "Convolutional LSTM network"
 * (2015), as Keras computes it. Inputs are [samples, steps, ...axes, channels].
 */
function convLstmLayer(tf: TF, axes: 1 | 2 | 3): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = `ConvLSTM${axes}D`;
    #kernel: Weight | null = null;
    #recurrent: Weight | null = null;
    #bias: Weight | null = null;

    constructor(config: Record<string, unknown>) {
      super(config);
      this.supportsMasking = false;
    }

    #how(): Convolution {
      const { strides, padding, dilationRate } = this.settings;
      return {
        strides: forEachAxis(strides, axes),
        padding: padding === 'same' ? 'same' : 'valid',
        dilations: forEachAxis(dilationRate, axes),
      };
    }

    #activation(key: string, standard: string): Activation {
      const name = this.settings[key];
      return namedActivation(tf, typeof name === 'string' ? name : standard);
    }

    /** Shape of the state of a sample. */
    #stateShape(shape: tfjs.Shape): number[] {
      const { strides, padding, dilations } = this.#how();
      const kernel = forEachAxis(this.settings.kernelSize, axes);
      const sides = kernel.map((size, i) =>
        convolvedLength(Number(shape[i + 2]), size, strides[i] ?? 1, dilations[i] ?? 1, padding),
      );
      return [...sides, numberOf(this, 'filters', 1)];
    }

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      const filters = numberOf(this, 'filters', 1);
      const kernel = forEachAxis(this.settings.kernelSize, axes);
      const channels = Number(singleShape(inputShape).at(-1));
      this.#kernel = this.addTensor('kernel', [...kernel, channels, GATES * filters], 'kernel');
      this.#recurrent = this.addTensor(
        'recurrent_kernel',
        [...kernel, filters, GATES * filters],
        'recurrent',
      );
      if (this.settings.useBias !== false) {
        const bias = this.addTensor('bias', [GATES * filters], 'bias');
        if (this.settings.unitForgetBias !== false) {
          tf.tidy(() => {
            const [first, , ...rest] = tf.split(bias.read(), GATES);
            bias.write(tf.concat([first as tfjs.Tensor, tf.ones([filters]), ...rest]));
          });
        }
        this.#bias = bias;
      }
      super.build(inputShape);
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape | tfjs.Shape[] {
      const shape = singleShape(inputShape);
      const [samples = null, steps = null] = shape;
      const state = [samples, ...this.#stateShape(shape)];
      const output = this.settings.returnSequences === true ? [samples, steps, ...state.slice(1)] : state;
      return this.settings.returnState === true ? [output, state, state] : output;
    }

    /** Masks of dropout, one for each gate; null without any. The second layer number is that of the state. */
    #masks(
      kwargs: CallArguments,
      key: 'dropout' | 'recurrentDropout',
      shape: number[],
    ): tfjs.Tensor[] | null {
      const rate = numberOf(this, key, 0);
      const number = numberOf(this, 'number', 0) + (key === 'dropout' ? 0 : 1);
      const draw = drawerOf(tf, { settings: { number } } as unknown as OwnLayer, kwargs);
      if (draw === null || rate <= 0) return null;
      const [samples = 0, ...rest] = shape;
      const size = rest.reduce((product, side) => product * side, 1);
      const values = draw(rate, [samples, GATES * size]);
      return tf.split(values, GATES, 1).map((mask) => tf.reshape(mask, shape));
    }

    /** Convolution by the kernels of all gates, each after its mask. */
    #convolve(
      x: tfjs.Tensor,
      kernel: tfjs.Tensor,
      how: Convolution,
      masks: tfjs.Tensor[] | null,
    ): tfjs.Tensor {
      if (masks === null) return convolve(tf, x, kernel, how, 1);
      const kernels = tf.split(kernel, GATES, axes + 1);
      const parts = masks.map((mask, gate) =>
        convolve(tf, tf.mul(x, mask), kernels[gate] as tfjs.Tensor, how, 1),
      );
      return tf.concat(parts, axes + 1);
    }

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const [kernel, recurrent] = [this.#kernel?.read(), this.#recurrent?.read()];
        if (kernel === undefined || recurrent === undefined)
          throw new Error(`Layer ${this.name} is not built.`);
        const [samples = 0, steps = 0, ...sides] = x.shape;
        const state = this.#stateShape(x.shape);
        const how = this.#how();
        const same: Convolution = {
          strides: forEachAxis(1, axes),
          padding: 'same',
          dilations: forEachAxis(1, axes),
        };
        const inputMasks = this.#masks(kwargs, 'dropout', [samples, ...sides]);
        const stateMasks = this.#masks(kwargs, 'recurrentDropout', [samples, ...state]);
        const activation = this.#activation('activation', 'tanh');
        const gate = this.#activation('recurrentActivation', 'sigmoid');
        const bias = this.#bias?.read();
        let hidden: tfjs.Tensor = tf.zeros([samples, ...state]);
        let carry = hidden;
        const outputs: tfjs.Tensor[] = [];
        for (let i = 0; i < steps; i++) {
          const step = this.settings.goBackwards === true ? steps - 1 - i : i;
          const begin = x.shape.map((_, axis) => (axis === 1 ? step : 0));
          const row = tf.reshape(tf.slice(x, begin, x.shape.with(1, 1)), [samples, ...sides]);
          const product = this.#convolve(row, kernel, how, inputMasks);
          const biased = bias === undefined ? product : tf.add(product, bias);
          const sum = tf.add(biased, this.#convolve(hidden, recurrent, same, stateMasks));
          const [input, forget, candidate, output] = tf.split(sum, GATES, axes + 1) as [
            tfjs.Tensor,
            tfjs.Tensor,
            tfjs.Tensor,
            tfjs.Tensor,
          ];
          carry = tf.add(
            tf.mul(gate.apply(forget), carry),
            tf.mul(gate.apply(input), activation.apply(candidate)),
          );
          hidden = tf.mul(gate.apply(output), activation.apply(carry));
          outputs.push(tf.reshape(hidden, [samples, 1, ...state]));
        }
        const result = this.settings.returnSequences === true ? tf.concat(outputs, 1) : hidden;
        return this.settings.returnState === true ? [result, hidden, carry] : result;
      });
    }
  };
}

export const convLstmLayers: readonly LayerFactory[] = ([1, 2, 3] as const).map(
  (axes): LayerFactory =>
    (tf) =>
      convLstmLayer(tf, axes),
);
