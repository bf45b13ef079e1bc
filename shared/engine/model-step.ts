import type * as tfjs from '@tensorflow/tfjs';
import { withoutInitialWeights } from '../model/initializers.ts';
import type { Job } from '../model/job.ts';
import { foldActivations } from '../model/fold-activations.ts';
import { withKeyedDropout } from '../model/topology.ts';
import { outputWidth } from '../model/outputs.ts';
import { sampleSize } from '../model/tensors.ts';
import { randomContext, type MaskSource } from './layers/random-source.ts';
import { DenseFactorHooks, type KernelFactors, type OnFactors } from './dense-factors.ts';
import { buildModel, type BuiltModel } from './model.ts';
import { lossDefinition } from '../model/losses.ts';
import type { TF } from '../util/tf.ts';
import { lossSum, type LossTerm } from './tensor-losses.ts';

/** Computations of a job on tensors. Callers dispose the results. */
export interface ModelStep {
  readonly built: BuiltModel;
  /** Index in the layout of the tensor whose gradient can be computed as factors, or null. */
  readonly factoredIndex: number | null;
  /** Number of a sample's values in each tensor of the outputs. */
  readonly outputSizes: readonly number[];
  /**
   * Forward and backward pass.
   * @param inputs [samples, ...shape] each
   * @param targets [samples, ...shape] of each output, one-hot for classes; then the weights of the samples, if the job has any
   * @param onGradient called during the backward pass with the gradients of some tensors
   * @returns the outputs, logits where a loss computes the last activation, then the penalty of each sample, if outputs of layers
   *   have any; and the parts of the flat gradient in order of the layout: sums over the
   *   samples; for tensors that are not trained, samples x the change by the forward pass
   */
  gradient(
    inputs: readonly tfjs.Tensor[],
    targets: readonly tfjs.Tensor[],
    masks: MaskSource,
    onGradient?: OnGradient,
  ): { outputs: tfjs.Tensor[]; parts: tfjs.Tensor[] };
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
  ): { outputs: tfjs.Tensor[]; parts: tfjs.Tensor[] };
  /** Outputs of a forward pass without random layers, as gradient() returns them. */
  outputs(inputs: readonly tfjs.Tensor[]): tfjs.Tensor[];
  /** Class probabilities or values of an output. @param outputs as outputs() returns them */
  predictions(outputs: readonly tfjs.Tensor[], index: number): tfjs.Tensor;
}

/** Builds a job's model. @throws Error with a sentence if it cannot be built */
export async function createModelStep(tf: TF, job: Job): Promise<ModelStep> {
  const random = randomContext(tf);
  const { topology, activations } = foldActivations(job);
  const built = await buildModel(tf, withoutInitialWeights(withKeyedDropout(topology)));
  try {
    checkLayout(built, job);
    checkOutputs(built, job);
  } catch (error) {
    built.dispose();
    throw error;
  }
  const { model, layout, variables } = built;
  const hooks = new GradientHooks(tf, model.weights);
  const factors = new DenseFactorHooks(tf, built);
  const terms = job.outputs.map((output, i): LossTerm => {
    const rows = sampleSize(output) / outputWidth(output);
    const isLogits = output.loss.fromLogits === true || (activations[i] ?? null) !== null;
    return { spec: output.loss, isLogits, factor: (output.weight ?? 1) / rows };
  });
  const apply = (inputs: readonly tfjs.Tensor[], training: boolean): tfjs.Tensor[] => {
    const [first, ...others] = inputs;
    const pass = (): tfjs.Tensor[] =>
      [
        model.apply(first !== undefined && others.length === 0 ? first : [...inputs], { training }),
      ].flat() as tfjs.Tensor[];
    return built.penalties === null ? pass() : built.penalties.collect(pass);
  };
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
    let outputs: tfjs.Tensor[] = [];
    random.masks = masks;
    try {
      const loss = (): tfjs.Scalar => {
        outputs = apply(inputs, true).map((output) => tf.keep(output));
        const weights = targets[terms.length] ?? null;
        const sums = terms.map((term, i) =>
          lossSum(tf, term, outputs[i] as tfjs.Tensor, targets[i] as tfjs.Tensor, weights),
        );
        if (built.penalties !== null) sums.push(tf.sum(outputs[terms.length] as tfjs.Tensor));
        return sums.reduce((total, sum) => tf.add(total, sum));
      };
      const { grads } = hooks.run(onGradient, () => tf.variableGrads(loss, trained));
      // Tensors that are not trained have no gradient; the change by the forward pass replaces it.
      const parts = variables.map((variable, i) => {
        const old = before[i];
        if (old === null || old === undefined) return grads[variable.name] ?? tf.zerosLike(variable);
        return tf.mul(tf.sub(variable, old), samples);
      });
      return { outputs, parts };
    } catch (error) {
      // tf.keep() hides it from tf.tidy().
      tf.dispose(outputs);
      throw error;
    } finally {
      random.masks = null;
      before.forEach((old, i) => old !== null && variables[i]?.assign(old));
    }
  };

  return {
    built,
    factoredIndex: factors.index,
    outputSizes: [...job.outputs.map(sampleSize), ...(built.penalties === null ? [] : [1])],

    gradient: (inputs, targets, masks, onGradient) => gradient(trainable, inputs, targets, masks, onGradient),

    factoredGradient(inputs, targets, masks, onGradient, onFactors) {
      let found: KernelFactors | null = null;
      const { index } = factors;
      if (index === null) throw new Error('This model has no gradient that can be computed as factors.');
      const others = trainable.filter((variable) => variable !== variables[index]);
      const { outputs, parts } = factors.run(
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
      return { outputs, parts };
    },

    outputs: (inputs) => apply(inputs, false),

    predictions(outputs, index) {
      const spec = job.outputs[index];
      const values = outputs[index] as tfjs.Tensor;
      const isLogits = spec !== undefined && terms[index]?.isLogits === true;
      const activation = activations[index] ?? (isLogits ? lossDefinition(spec.loss.name).activation : null);
      if (activation === 'softmax') return tf.softmax(values);
      return activation === 'sigmoid' ? tf.sigmoid(values) : values;
    },
  };
}

/** @throws Error if the model's outputs have other shapes than the job says */
function checkOutputs({ model }: BuiltModel, job: Job): void {
  const actual = JSON.stringify(model.outputs.map(({ shape }) => shape.slice(1)));
  const expected = JSON.stringify(job.outputs.map(({ shape }) => shape));
  if (actual !== expected) {
    throw new Error(`The model built here has outputs of ${actual}, but the job says ${expected}.`);
  }
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
