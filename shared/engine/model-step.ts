import type * as tfjs from '@tensorflow/tfjs';
import { withoutInitialWeights } from '../model/initializers.ts';
import type { Job } from '../model/job.ts';
import { withKeyedDropout, withLogits } from '../model/topology.ts';
import { registerKeyedDropout, type DropoutContext, type MaskSource } from './keyed-dropout.ts';
import { DenseFactorHooks, type KernelFactors, type OnFactors } from './dense-factors.ts';
import { buildModel, type BuiltModel } from './model.ts';
import type { TF } from '../util/tf.ts';

/** What is computed for a job, whatever its inputs come from. Callers tidy up. */
export interface ModelStep {
  readonly built: BuiltModel;
  /** The tensor, by its place in the layout, whose gradient can be had as factors; null if there is none. */
  readonly factoredIndex: number | null;
  /**
   * Forward and backward.
   * @param input [samples, ...sampleShape]
   * @param target one-hot labels, float32 [samples, classes]
   * @param onGradient hears of the gradients of tensors, by their place in the layout, as the backward pass finds them;
   *   not of all
   * @returns the logits [samples, classes], and the parts of the flat gradient in order of the layout: sums over the
   *   samples; of what is not trained, samples x the change that the forward pass made
   */
  gradient(
    input: tfjs.Tensor,
    target: tfjs.Tensor,
    masks: MaskSource,
    onGradient?: OnGradient,
  ): { logits: tfjs.Tensor; parts: tfjs.Tensor[] };
  /**
   * The same with factors in place of the one tensor's gradient, which is not computed then.
   * @param onFactors hears of them as soon as the backward pass has them; the output gradient is its to dispose
   * @returns parts as above, that tensor's excepted, whose place has the factors' inputs
   */
  factoredGradient(
    input: tfjs.Tensor,
    target: tfjs.Tensor,
    masks: MaskSource,
    onGradient: OnGradient | undefined,
    onFactors: OnFactors,
  ): { logits: tfjs.Tensor; parts: tfjs.Tensor[] };
  /** Forward alone, without dropout: [samples, classes]. */
  logits(input: tfjs.Tensor): tfjs.Tensor;
}

/** @throws Error with a sentence if the job's model cannot be built */
export async function createModelStep(tf: TF, job: Job): Promise<ModelStep> {
  const dropout: DropoutContext = { masks: null };
  registerKeyedDropout(tf, dropout);
  const built = await buildModel(tf, withoutInitialWeights(withLogits(withKeyedDropout(job.topology))));
  try {
    checkLayout(built, job);
  } catch (error) {
    built.dispose();
    throw error;
  }
  const { model, layout, variables } = built;
  const taps = new GradientHooks(tf, model.weights);
  const factors = new DenseFactorHooks(tf, built);
  const trainable = variables.filter((_, i) => layout.slices[i]?.trainable);

  const gradient = (
    trained: tfjs.Variable[],
    ...[input, target, masks, onGradient]: Parameters<ModelStep['gradient']>
  ): ReturnType<ModelStep['gradient']> => {
    const samples = input.shape[0];
    const before = variables.map((variable) => (trainable.includes(variable) ? null : variable.clone()));
    let logits: tfjs.Tensor | undefined;
    dropout.masks = masks;
    try {
      const loss = (): tfjs.Scalar => {
        logits = tf.keep(model.apply(input, { training: true }) as tfjs.Tensor);
        return crossEntropySum(tf, logits, target);
      };
      const { grads } = taps.run(onGradient, () => tf.variableGrads(loss, trained));
      // What is not trained has no gradient: the change that the forward pass made to it takes its place.
      const parts = variables.map((variable, i) => {
        const old = before[i];
        if (old === null || old === undefined) return grads[variable.name] ?? tf.zerosLike(variable);
        return tf.mul(tf.sub(variable, old), samples);
      });
      return { logits: logits as tfjs.Tensor, parts };
    } catch (error) {
      // It is kept, so no tidy would find it.
      logits?.dispose();
      throw error;
    } finally {
      dropout.masks = null;
      before.forEach((old, i) => old !== null && variables[i]?.assign(old));
    }
  };

  return {
    built,
    factoredIndex: factors.index,

    gradient: (...step) => gradient(trainable, ...step),

    factoredGradient(input, target, masks, onGradient, onFactors) {
      let found: KernelFactors | null = null;
      const { index } = factors;
      if (index === null) throw new Error('This model has no gradient that could be had as factors.');
      const others = trainable.filter((variable) => variable !== variables[index]);
      const { logits, parts } = factors.run(
        (heard) => {
          found = heard;
          onFactors(heard);
        },
        () => gradient(others, input, target, masks, onGradient),
      );
      // Assigned in a callback, which the compiler does not see.
      const heard = found as KernelFactors | null;
      if (heard === null) throw new Error('The backward pass has not come to the factors.');
      parts[index]?.dispose();
      parts[index] = heard.inputs;
      return { logits, parts };
    },

    logits: (input) => model.apply(input, { training: false }) as tfjs.Tensor,
  };
}

/**
 * Sum over the samples of the cross-entropy of softmax(logits) with a one-hot target; its gradient is
 * softmax(logits) - target.
 * @param logits [samples, classes]
 * @param target [samples, classes]
 */
function crossEntropySum(tf: TF, logits: tfjs.Tensor, target: tfjs.Tensor): tfjs.Scalar {
  const loss = tf.customGrad((input, save) => {
    const x = input as tfjs.Tensor;
    const shifted = tf.sub(x, tf.max(x, -1, true));
    const logSum = tf.log(tf.sum(tf.exp(shifted), -1, true));
    (save as tfjs.GradSaveFunc)([x]);
    return {
      value: tf.sum(tf.mul(target, tf.sub(logSum, shifted))),
      gradFunc: (dy, saved) => tf.mul(dy, tf.sub(tf.softmax(saved[0] as tfjs.Tensor), target)),
    };
  });
  return loss(logits) as tfjs.Scalar;
}

function checkLayout({ layout }: BuiltModel, job: Job): void {
  const here = JSON.stringify(layout.slices.map(({ shape, trainable }) => ({ shape, trainable })));
  const there = JSON.stringify(job.layout.map(({ shape, trainable }) => ({ shape, trainable })));
  if (here !== there) {
    throw new Error(`The model built here has the tensors ${here}, but the job says ${there}.`);
  }
}

/**
 * @param index the weight's place in the model's list
 * @param gradient belongs to the backward pass: to be read before returning
 */
export type OnGradient = (index: number, gradient: tfjs.Tensor) => void;

/**
 * Hears of each weight's gradient at the moment when the backward pass has it, while those of the layers before are
 * still to be computed. Only of weights that a pass reads once: of others a single read has a part of the gradient.
 */
export class GradientHooks {
  #listener: { readonly onGradient: OnGradient; readonly reads: Map<number, number> } | null = null;

  /** Each read of a weight becomes an operation of its own, whose gradient is the weight's. */
  constructor(tf: TF, weights: readonly { read(): tfjs.Tensor }[]) {
    weights.forEach((weight, index) => {
      const read = weight.read.bind(weight);
      weight.read = () => {
        const value = read();
        if (this.#listener === null) return value;
        const { onGradient, reads } = this.#listener;
        reads.set(index, (reads.get(index) ?? 0) + 1);
        return tf.customGrad((input) => ({
          value: tf.clone(input as tfjs.Tensor),
          gradFunc: (gradient: tfjs.Tensor) => {
            if (reads.get(index) === 1) onGradient(index, gradient);
            return gradient;
          },
        }))(value);
      };
    });
  }

  /** Runs a forward and backward pass with a listener. */
  run<T>(onGradient: OnGradient | undefined, pass: () => T): T {
    this.#listener = onGradient === undefined ? null : { onGradient, reads: new Map() };
    try {
      return pass();
    } finally {
      this.#listener = null;
    }
  }
}
