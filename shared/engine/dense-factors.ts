import type * as tfjs from '@tensorflow/tfjs';
import { factoredKernel } from '../codec/factors.ts';
import type { BuiltModel } from './model.ts';
import type { TF } from '../util/tf.ts';

/** Factors of the gradient of a dense layer's kernel, inputs^T x outputGradient. The caller disposes both tensors. */
export interface KernelFactors {
  /** [samples, inputs] */
  readonly inputs: tfjs.Tensor;
  /** Gradient of the product with the kernel, before the bias: [samples, outputs]. */
  readonly outputGradient: tfjs.Tensor;
}

/** Listener that the backward pass calls before it computes the gradient of an earlier layer. */
export type OnFactors = (factors: KernelFactors) => void;

/** Private members of tfjs-layers' Dense. */
interface DenseInternals {
  readonly kernel: { read(): tfjs.Tensor };
  readonly bias: { read(): tfjs.Tensor } | null;
  readonly activation: { apply(tensor: tfjs.Tensor): tfjs.Tensor } | null;
}

/**
 * Hooks that read the factors of the kernel named by factoredKernel(). The layer runs op by op instead of its fused kernel
 * while a listener is set.
 */
export class DenseFactorHooks {
  /** Index of the kernel in the layout; null if its layer is not a dense layer that is called once, with rows as input. */
  readonly index: number | null = null;
  #onFactors: OnFactors | null = null;

  constructor(tf: TF, { model, layout }: BuiltModel) {
    const kernel = factoredKernel(layout);
    const index =
      kernel === null
        ? -1
        : layout.slices.findIndex(({ offset, shape }) => offset === kernel.offset && shape.length === 2);
    const weight = model.weights[index];
    const layer = model.layers.find(
      (candidate) => candidate.getClassName() === 'Dense' && candidate.weights[0] === weight,
    );
    if (layer === undefined || weight === undefined || layer.inboundNodes.length !== 1) return;
    const shape = layer.inboundNodes[0]?.inputShapes[0];
    if (!Array.isArray(shape) || shape.length !== 2) return;
    // tfjs computes no gradient without a remaining variable.
    if (model.trainableWeights.length < 2) return;
    this.index = index;
    const { kernel: dense, bias, activation } = layer as unknown as DenseInternals;
    const call = layer.call.bind(layer);
    layer.call = (inputs, kwargs) => {
      const onFactors = this.#onFactors;
      const input = Array.isArray(inputs) ? inputs[0] : inputs;
      if (onFactors === null || input === undefined) return call(inputs, kwargs);
      return tf.tidy(() => {
        const kept = tf.keep(tf.clone(input));
        const product = tf.customGrad((value) => ({
          value: tf.clone(value as tfjs.Tensor),
          gradFunc: (outputGradient: tfjs.Tensor) => {
            onFactors({ inputs: kept, outputGradient: tf.keep(tf.clone(outputGradient)) });
            return outputGradient;
          },
        }))(tf.matMul(input, dense.read()));
        const biased = bias === null ? product : tf.add(product, bias.read());
        return activation === null ? biased : activation.apply(biased);
      });
    };
  }

  /** Runs a forward and backward pass with a listener for the factors. */
  run<T>(onFactors: OnFactors, pass: () => T): T {
    this.#onFactors = onFactors;
    try {
      return pass();
    } finally {
      this.#onFactors = null;
    }
  }
}
