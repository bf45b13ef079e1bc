import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { activationOf } from './activations.ts';
import {
  ownLayer,
  singleInput,
  singleShape,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type Weight,
} from './stock.ts';

/** Shape with axes of length 1 after the samples, as Keras aligns inputs of different ranks. */
const withRank = <T>([samples, ...rest]: readonly T[], rank: number): (T | 1)[] => [
  samples as T,
  ...Array.from({ length: rank - 1 - rest.length }, (): 1 => 1),
  ...rest,
];

/** Subtract, which tfjs-layers lacks: the first input minus the second. */
function subtractLayer(tf: TF): LayerClass {
  return class Subtract extends ownLayer(tf) {
    static readonly className = 'Subtract';

    override computeOutputShape(shapes: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const rank = Math.max(...(shapes as tfjs.Shape[]).map(({ length }) => length));
      const [left = [], right = []] = (shapes as tfjs.Shape[]).map((shape) => withRank(shape, rank));
      return left.map((length, axis) => (length === 1 ? (right[axis] ?? null) : length));
    }

    override call(inputs: Inputs): tfjs.Tensor {
      const [left, right] = [inputs].flat();
      if (left === undefined || right === undefined) throw new Error(`Layer ${this.name} needs two inputs.`);
      if (left.rank === right.rank) return tf.sub(left, right);
      return tf.tidy(() => {
        const rank = Math.max(left.rank, right.rank);
        const aligned = (x: tfjs.Tensor): tfjs.Tensor => tf.reshape(x, withRank(x.shape, rank));
        return tf.sub(aligned(left), aligned(right));
      });
    }
  };
}

/** Identity, which tfjs-layers lacks. */
function identityLayer(tf: TF): LayerClass {
  return class Identity extends ownLayer(tf) {
    static readonly className = 'Identity';
  };
}

/** Equation of an EinsumDense with a letter for each axis. */
interface Equation {
  readonly input: string;
  readonly kernel: string;
  readonly output: string;
}

function parseEquation(equation: string): Equation {
  const [, input = '', kernel = '', output = ''] =
    /^(.*),(.*)->(.*)$/.exec(equation.replaceAll(' ', '')) ?? [];
  return { input, kernel, output };
}

/** EinsumDense, which tfjs-layers lacks: a product of any axes with a kernel, as one product of matrices. */
function einsumDenseLayer(tf: TF): LayerClass {
  return class EinsumDense extends ownLayer(tf) {
    static readonly className = 'EinsumDense';
    #kernel: Weight | null = null;
    #bias: Weight | null = null;

    #equation(): Equation {
      const { equation } = this.settings;
      return parseEquation(typeof equation === 'string' ? equation : '');
    }

    /** Length of each axis, by its letter; null for the samples. */
    #lengths(shape: tfjs.Shape): Map<string, number | null> {
      const { input, output } = this.#equation();
      const configured = [this.settings.outputShape].flat() as (number | null)[];
      const known = new Map(input.split('').map((letter, i) => [letter, shape[i] ?? null]));
      // The configuration leaves out the samples.
      const missing = output.length - configured.length;
      output.split('').forEach((letter, i) => {
        const length = configured[i - missing] ?? null;
        if (length !== null && !known.has(letter)) known.set(letter, length);
      });
      return known;
    }

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      const shape = singleShape(inputShape);
      const lengths = this.#lengths(shape);
      const { kernel, output } = this.#equation();
      const lengthOf = (letter: string): number => Number(lengths.get(letter));
      this.#kernel = this.addTensor('kernel', kernel.split('').map(lengthOf), 'kernel');
      const { biasAxes } = this.settings;
      if (typeof biasAxes === 'string') {
        const from = Math.min(...biasAxes.split('').map((letter) => output.indexOf(letter)));
        const axes = output
          .slice(from)
          .split('')
          .map((letter) => (biasAxes.includes(letter) ? lengthOf(letter) : 1));
        this.#bias = this.addTensor('bias', axes, 'bias');
      }
      super.build(inputShape);
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = singleShape(inputShape);
      const lengths = this.#lengths(shape);
      return this.#equation()
        .output.split('')
        .map((letter) => lengths.get(letter) ?? null);
    }

    override call(inputs: Inputs): tfjs.Tensor {
      const weight = this.#kernel;
      if (weight === null) throw new Error(`Layer ${this.name} is not built.`);
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const { input, kernel, output } = this.#equation();
        const lengths = this.#lengths(x.shape);
        const letters = (axes: string, isWanted: (letter: string) => boolean): string =>
          axes.split('').filter(isWanted).join('');
        const shared = letters(input, (letter) => kernel.includes(letter) && output.includes(letter));
        const summed = letters(input, (letter) => kernel.includes(letter) && !output.includes(letter));
        const rows = letters(input, (letter) => !kernel.includes(letter));
        const columns = letters(kernel, (letter) => !input.includes(letter));
        const size = (axes: string): number =>
          axes.split('').reduce((product, letter) => product * Number(lengths.get(letter)), 1);
        const matrices = (tensor: tfjs.Tensor, axes: string, order: string, high: string, wide: string) => {
          const moved = tf.transpose(
            tensor,
            order.split('').map((letter) => axes.indexOf(letter)),
          );
          return tf.reshape<tfjs.Rank.R3>(moved, [size(shared), size(high), size(wide)]);
        };
        const product = tf.matMul(
          matrices(x, input, shared + rows + summed, rows, summed),
          matrices(weight.read(), kernel, shared + summed + columns, summed, columns),
        );
        const order = shared + rows + columns;
        const split = tf.reshape(
          product,
          order.split('').map((letter) => Number(lengths.get(letter))),
        );
        const result = tf.transpose(
          split,
          output.split('').map((letter) => order.indexOf(letter)),
        );
        const biased = this.#bias === null ? result : tf.add(result, this.#bias.read());
        return activationOf(tf, this)?.apply(biased) ?? biased;
      });
    }
  };
}

export const mergingLayers: readonly LayerFactory[] = [subtractLayer, identityLayer, einsumDenseLayer];
