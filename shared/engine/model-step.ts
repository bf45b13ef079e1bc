import type * as tfjs from '@tensorflow/tfjs';
import { withoutInitialWeights } from '../model/initializers.ts';
import type { Job } from '../model/job.ts';
import { withKeyedDropout, withLogits } from '../model/topology.ts';
import { randomContext, type MaskSource } from './layers/random-source.ts';
import { DenseFactorHooks, type KernelFactors, type OnFactors } from './dense-factors.ts';
import { buildModel, type BuiltModel } from './model.ts';
import type { TF } from '../util/tf.ts';

/** Computations of a job on tensors. Callers dispose the results. */
export interface ModelStep {
  readonly built: BuiltModel;
  /** Index in the layout of the tensor whose gradient can be computed as factors, or null. */
  readonly factoredIndex: number | null;
  /**
   * Forward and backward pass.
   * @param inputs [samples, ...shape] each
   * @param targets one-hot labels, float32 [samples, classes]
   * @param onGradient called during the backward pass with the gradients of some tensors
   * @returns the logits [samples, classes], and the parts of the flat gradient in order of the layout: sums over the
   *   samples; for tensors that are not trained, samples x the change by the forward pass
   */
  gradient(
    inputs: readonly tfjs.Tensor[],
    targets: readonly tfjs.Tensor[],
    masks: MaskSource,
    onGradient?: OnGradient,
  ): { logits: tfjs.Tensor; parts: tfjs.Tensor[] };
  /**
   * Forward and backward pass that computes factors instead of the gradient of the tensor at factoredIndex.
   * @param onFactors called during the backward pass; disposes the output gradient
   * @returns as gradient(), but with the inputs of the factors at factoredIndex
   */
  factoredGradient(
    inputs: readonly tfjs.Tensor[],
    targets: readonly tfjs.Tensor[],
    masks: MaskSource,
    onGradient: OnGradient | undefined,
    onFactors: OnFactors,
  ): { logits: tfjs.Tensor; parts: tfjs.Tensor[] };
  /** Logits of a forward pass without random layers: [samples, classes]. */
  logits(inputs: readonly tfjs.Tensor[]): tfjs.Tensor;
}

/** Builds a job's model. @throws Error with a sentence if it cannot be built */
export async function createModelStep(tf: TF, job: Job): Promise<ModelStep> {
  const random = randomContext(tf);
  const built = await buildModel(tf, withoutInitialWeights(withLogits(withKeyedDropout(job.topology))));
  try {
    checkLayout(built, job);
  } catch (error) {
    built.dispose();
    throw error;
  }
  const { model, layout, variables } = built;
  const hooks = new GradientHooks(tf, model.weights);
  const factors = new DenseFactorHooks(tf, built);
  const trainable = variables.filter((_, i) => layout.slices[i]?.trainable);

  const gradient = (
    trained: tfjs.Variable[],
    inputs: readonly tfjs.Tensor[],
    targets: readonly tfjs.Tensor[],
    masks: MaskSource,
    onGradient: OnGradient | undefined,
  ): ReturnType<ModelStep['gradient']> => {
    const samples = inputs[0]?.shape[0] ?? 0;
    const before = variables.map((variable) => (trainable.includes(variable) ? null : variable.clone()));
    let logits: tfjs.Tensor | undefined;
    random.masks = masks;
    try {
      const loss = (): tfjs.Scalar => {
        logits = tf.keep(model.apply(applied(inputs), { training: true }) as tfjs.Tensor);
        return crossEntropySum(tf, logits, targets[0] as tfjs.Tensor);
      };
      const { grads } = hooks.run(onGradient, () => tf.variableGrads(loss, trained));
      // Tensors that are not trained have no gradient; the change by the forward pass replaces it.
      const parts = variables.map((variable, i) => {
        const old = before[i];
        if (old === null || old === undefined) return grads[variable.name] ?? tf.zerosLike(variable);
        return tf.mul(tf.sub(variable, old), samples);
      });
      return { logits: logits as tfjs.Tensor, parts };
    } catch (error) {
      // tf.keep() hides it from tf.tidy().
      logits?.dispose();
      throw error;
    } finally {
      random.masks = null;
      before.forEach((old, i) => old !== null && variables[i]?.assign(old));
    }
  };

  return {
    built,
    factoredIndex: factors.index,

    gradient: (inputs, targets, masks, onGradient) => gradient(trainable, inputs, targets, masks, onGradient),

    factoredGradient(inputs, targets, masks, onGradient, onFactors) {
      let found: KernelFactors | null = null;
      const { index } = factors;
      if (index === null) throw new Error('This model has no gradient that can be computed as factors.');
      const others = trainable.filter((variable) => variable !== variables[index]);
      const { logits, parts } = factors.run(
        (kernelFactors) => {
          found = kernelFactors;
          onFactors(kernelFactors);
        },
        () => gradient(others, inputs, targets, masks, onGradient),
      );
      // Assigned in a callback, which the compiler does not see.
      const received = found as KernelFactors | null;
      if (received === null) throw new Error('The backward pass did not compute the factors.');
      parts[index]?.dispose();
      parts[index] = received.inputs;
      return { logits, parts };
    },

    logits: (inputs) => model.apply(applied(inputs), { training: false }) as tfjs.Tensor,
  };
}

/** Inputs as tfjs-layers takes them: one tensor, or a list. */
const applied = (inputs: readonly tfjs.Tensor[]): tfjs.Tensor | tfjs.Tensor[] =>
  inputs.length === 1 ? (inputs[0] as tfjs.Tensor) : [...inputs];

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
  const actual = JSON.stringify(layout.slices.map(({ shape, trainable }) => ({ shape, trainable })));
  const expected = JSON.stringify(job.layout.map(({ shape, trainable }) => ({ shape, trainable })));
  if (actual !== expected) {
    throw new Error(`The model built here has the tensors ${actual}, but the job says ${expected}.`);
  }
}

/**
 * Listener for the gradient of one weight.
 * @param index of the weight in the layout
 * @param gradient valid only during the call
 */
export type OnGradient = (index: number, gradient: tfjs.Tensor) => void;

/**
 * Hooks that report each weight's gradient during the backward pass, before the gradients of earlier layers are computed. They
 * report only weights that a pass reads once, because each read of another weight has a part of its gradient.
 */
export class GradientHooks {
  #listener: { readonly onGradient: OnGradient; readonly reads: Map<number, number> } | null = null;

  /** Replaces each read of a weight by an operation whose gradient is the weight's gradient. */
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

  /** Runs a forward and backward pass with a listener for gradients. */
  run<T>(onGradient: OnGradient | undefined, pass: () => T): T {
    this.#listener = onGradient === undefined ? null : { onGradient, reads: new Map() };
    try {
      return pass();
    } finally {
      this.#listener = null;
    }
  }
}
