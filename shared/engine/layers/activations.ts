import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { axesOf, softmaxAlong } from './axes.ts';
import {
  numberOf,
  ownLayer,
  singleInput,
  singleShape,
  stockLayer,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
  type Weight,
} from './stock.ts';

/** Activation of tfjs-layers. */
export interface Activation {
  apply(x: tfjs.Tensor): tfjs.Tensor;
  /** Its name in camelCase. */
  getClassName(): string;
}

/** Whether an activation is ReLU, which kernels can fuse. */
export const isRelu = (activation: Activation | null): boolean => activation?.getClassName() === 'relu';

type Compute = (tf: TF, x: tfjs.Tensor) => tfjs.Tensor;

/** x where it is above the bound, else 0, without Greater, which has no gradient. */
const above = (tf: TF, x: tfjs.Tensor, bound: number): tfjs.Tensor => tf.mul(x, tf.step(tf.sub(x, bound)));

const hardSigmoid: Compute = (tf, x) => tf.clipByValue(tf.add(tf.div(x, 6), 0.5), 0, 1);

/** Exponential linear unit with any alpha. */
export function elu(tf: TF, x: tfjs.Tensor, alpha: number): tfjs.Tensor {
  return tf.add(tf.relu(x), tf.mul(tf.elu(tf.neg(tf.relu(tf.neg(x)))), alpha));
}

/** Continuously differentiable exponential linear unit. Source: Barron (arXiv:1704.07483). */
export function celu(tf: TF, x: tfjs.Tensor, alpha: number): tfjs.Tensor {
  const below = tf.elu(tf.neg(tf.relu(tf.div(tf.neg(x), alpha))));
  return tf.add(tf.relu(x), tf.mul(below, alpha));
}

export const squareplus = (tf: TF, x: tfjs.Tensor, b: number): tfjs.Tensor =>
  tf.div(tf.add(x, tf.sqrt(tf.add(tf.square(x), b))), 2);

/** Keras' activations that tfjs-layers lacks or has otherwise, by their names in camelCase, with Keras' default arguments. */
const ACTIVATIONS: Readonly<Record<string, Compute>> = {
  celu: (tf, x) => tf.elu(x),
  exponential: (tf, x) => tf.exp(x),
  geluTanh: (tf, x) => {
    const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))));
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
  },
  hardShrink: (tf, x) => tf.sub(above(tf, x, 0.5), above(tf, tf.neg(x), 0.5)),
  // relu6(x + 3) / 6 in Keras 3; Keras 2 has clip(0.2 x + 0.5, 0, 1).
  hardSigmoidKeras3: hardSigmoid,
  hardSilu: (tf, x) => tf.mul(x, hardSigmoid(tf, x)),
  hardTanh: (tf, x) => tf.clipByValue(x, -1, 1),
  leakyRelu: (tf, x) => tf.leakyRelu(x, 0.2),
  logSigmoid: (tf, x) => tf.neg(tf.softplus(tf.neg(x))),
  softShrink: (tf, x) => tf.sub(tf.relu(tf.sub(x, 0.5)), tf.relu(tf.sub(-0.5, x))),
  sparsePlus: (tf, x) =>
    tf.add(tf.div(tf.square(tf.add(tf.clipByValue(x, -1, 1), 1)), 4), tf.relu(tf.sub(x, 1))),
  sparseSigmoid: (tf, x) => tf.div(tf.add(tf.clipByValue(x, -1, 1), 1), 2),
  squareplus: (tf, x) => squareplus(tf, x, 4),
  tanhShrink: (tf, x) => tf.sub(x, tf.tanh(x)),
};

/** Registers the activations of this file for layers that are built from topologies. */
export function registerActivations(tf: TF): void {
  for (const [name, compute] of Object.entries(ACTIVATIONS)) {
    class OwnActivation extends tf.serialization.Serializable {
      static readonly className = name;

      apply(x: tfjs.Tensor): tfjs.Tensor {
        return tf.tidy(() => compute(tf, x));
      }

      override getConfig(): tfjs.serialization.ConfigDict {
        return {};
      }
    }
    tf.serialization.registerClass(OwnActivation);
  }
}

/** Activation by its name in camelCase. */
export function namedActivation(tf: TF, name: string): Activation {
  const Activation = tf.serialization.SerializationMap.getMap().classNameMap[name]?.[0];
  if (Activation === undefined) throw new Error(`There is no activation ${name}.`);
  return new Activation() as unknown as Activation;
}

/** Activation of a layer; null for the linear one. */
export function activationOf(tf: TF, { settings }: OwnLayer): Activation | null {
  const name = typeof settings.activation === 'string' ? settings.activation : 'linear';
  return name === 'linear' ? null : namedActivation(tf, name);
}

interface StockPrelu extends tfjs.layers.Layer {
  readonly sharedAxes: readonly number[] | null;
  readonly alpha: Weight;
}

/** PReLU that shares its slopes along any axes; on WebAssembly tfjs repeats only whole tensors. */
function preluLayer(tf: TF): LayerClass {
  return class PReLU extends stockLayer<StockPrelu>(tf, 'PReLU') {
    static readonly className = 'PReLU';

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const shared = [...(this.sharedAxes ?? [])].toSorted((a, b) => a - b);
      if (shared.every((axis, i) => axis === i + 1)) return super.call(inputs, kwargs);
      const x = singleInput(inputs);
      return tf.tidy(() => tf.sub(tf.relu(x), tf.mul(this.alpha.read(), tf.relu(tf.neg(x)))));
    }
  };
}

/** ELU with any alpha; tfjs-layers computes only 1. */
function eluLayer(tf: TF): LayerClass {
  return class ELU extends ownLayer(tf) {
    static readonly className = 'ELU';

    override call(inputs: Inputs): tfjs.Tensor {
      const alpha = numberOf(this, 'alpha', 1);
      const x = singleInput(inputs);
      return tf.tidy(() => (alpha === 1 ? tf.elu(x) : elu(tf, x, alpha)));
    }
  };
}

/** Softmax over any axes, several of them together; tfjs-layers has only the last one. */
function softmaxLayer(tf: TF): LayerClass {
  return class Softmax extends ownLayer(tf) {
    static readonly className = 'Softmax';

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      const { length } = singleShape(inputShape);
      const axes = axesOf((this.settings.axis ?? -1) as number | number[], length);
      if (axes.some((axis) => axis <= 0 || axis >= length)) {
        throw new Error(
          `Layer ${this.name} (Softmax) has an axis of the samples, or one that its input does not have. Change it in the model.`,
        );
      }
      super.build(inputShape);
    }

    override call(inputs: Inputs): tfjs.Tensor {
      const axes = (this.settings.axis ?? -1) as number | number[];
      return tf.tidy(() => softmaxAlong(tf, singleInput(inputs), axes));
    }
  };
}

export const activationLayers: readonly LayerFactory[] = [eluLayer, preluLayer, softmaxLayer];
