import type { Tensor, Variable } from '@tensorflow/tfjs';
import type { MaskSource } from '../../../shared/engine/keyed-dropout.ts';
import type { TF } from '../../../shared/util/tf.ts';
import type { ModelStep } from '../../../shared/engine/model-step.ts';
import { microShardSizes } from '../../../shared/engine/micro-shards.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import type { Job } from '../../../shared/model/job.ts';
import { sizeOf } from '../../../shared/model/layout.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import type { Native } from './backend.ts';
import { capture, type NameInput, CapturedGraph } from './capture.ts';
import type { NativeTensors } from './native-tensors.ts';
import type { Shard } from '../../../shared/data/shard.ts';
/**
 * Largest difference between a graph and the same step run op by op, relative to the norm: rounding in another order, which
 * batch normalization enlarges. An input that has become a constant makes a difference like 1.
 */
const TOLERANCE = 1e-4;

/**
 * Which of a model's computations: the parts of the gradient and the logits; the same, added to the parts of another
 * gradient; the same, each part by micro-shards; the same with factors; or the logits without dropout.
 */
export type GraphKind = 'gradient' | 'added' | 'cut' | 'factored' | 'logits';

interface MaskInput {
  readonly layer: number;
  readonly rate: number;
  readonly shape: number[];
}

/** A step as a graph for shards of one size. */
export interface StepGraph {
  /**
   * Runs it with the weights that the model holds now.
   * @param images [samples, ...sampleShape], scaled
   * @param inputs for a gradient: prepared for its shard
   * @param left only for 'added': the gradient that is added to
   * @returns the parts of the gradient in order of the layout (none, for the logits alone), with factors the output
   *   gradient behind them, then the logits; the caller's to dispose
   */
  run(images: Float32Array, inputs: ShardInputs, left?: NativeTensors): NativeTensors;
  dispose(): void;
}

/** What a graph is tried against. @returns a phrase that says why it is not to be used, or null */
export type GraphCheck = (graph: StepGraph, inputs: ShardInputs) => string | null;

/**
 * Captures a computation for shards of one size, and tries the graph on other inputs than those it was captured from, so
 * that nothing that should be an input can have become a part of it.
 * @param trial where it has to give the very bits of something else, with any weights; otherwise it is tried against the
 *   ops one by one
 * @throws Error with a phrase that says why there is no such graph
 */
export function captureStep(
  native: Native,
  job: Job,
  modelStep: ModelStep,
  kind: GraphKind,
  samples: number,
  trial?: GraphCheck,
): StepGraph {
  const { tf } = native;
  const { variables } = modelStep.built;
  const inputShape = [samples, ...job.data.sampleShape];
  const targetShape = [samples, job.data.classes];
  const trialInputs = new ShardInputs(job);
  const masks: MaskInput[] = [];

  /** Op by op, on tensors that are given their names on the way. */
  const compute = (inputs: ShardInputs, nameInput: NameInput): Tensor[] => {
    const named = (name: string, values: Float32Array, shape: number[]): Tensor => {
      const tensor = tf.tensor(values, shape);
      nameInput(name, tensor);
      return tensor;
    };
    const input = named('images', inputs.images(), inputShape);
    variables.forEach((variable, i) => nameInput(`weights_${i}`, variable));
    if (kind === 'logits') return [modelStep.logits(input)];
    const target = named('target', inputs.target(), targetShape);
    const source: MaskSource = (layer, rate, shape) => {
      masks.push({ layer, rate, shape });
      return named(`mask_${masks.length - 1}`, inputs.mask(layer, rate, sizeOf(shape)), shape);
    };
    if (kind === 'factored') {
      const found: Tensor[] = [];
      const { parts, logits } = modelStep.factoredGradient(input, target, source, undefined, (factors) =>
        found.push(factors.outputGradient),
      );
      return [...parts, ...found, logits];
    }
    const { parts, logits } = modelStep.gradient(input, target, source);
    if (kind !== 'added') return [...parts, logits];
    const sums = parts.map((part, i) =>
      tf.add(named(`left_${i}`, new Float32Array(part.size), part.shape), part),
    );
    return [...sums, logits];
  };

  const cut =
    kind === 'cut'
      ? { reductions: variables.length, parts: microShardSizes(samples, job.microShard ?? samples) }
      : undefined;
  trialInputs.prepare(0 as Step, noiseShard(job, samples, 0));
  const { capture: captured } = tidyValue(tf, () => {
    const made = capture(native, (nameInput) => compute(trialInputs, nameInput), cut);
    tf.dispose(made.results);
    return made;
  });
  const graph = new CapturedGraph(native, captured);

  const step: StepGraph = {
    run: (images, inputs, left) =>
      tidyValue(tf, () => {
        const tensors: Tensor[] = [tf.tensor(images, inputShape), ...variables];
        if (kind !== 'logits') {
          tensors.push(tf.tensor(inputs.target(), targetShape));
          for (const { layer, rate, shape } of masks) {
            tensors.push(tf.tensor(inputs.mask(layer, rate, sizeOf(shape)), shape));
          }
        }
        return graph.run(tensors, left?.ids(variables.length));
      }),
    dispose: () => graph.dispose(),
  };

  try {
    trialInputs.prepare(1 as Step, noiseShard(job, samples, 1));
    if (trial !== undefined) {
      const failure = withNoisyWeights(tf, variables, () => trial(step, trialInputs));
      if (failure !== null) throw new Error(failure);
      return step;
    }
    const learnt = masks.length;
    const expected = tidyValue(tf, () => {
      const results = compute(trialInputs, () => undefined);
      const values = results.map((tensor) => tensor.dataSync<'float32'>());
      tf.dispose(results);
      return values;
    });
    masks.splice(learnt);
    const difference = relativeDifference(step, trialInputs, expected);
    // Written so that not a number is too much as well.
    if (!(difference <= TOLERANCE)) {
      throw new Error(`the graph's result is off by ${difference.toExponential(1)} of its norm`);
    }
    return step;
  } catch (error) {
    graph.dispose();
    throw error;
  }
}

/** tf.tidy for what is not tensors: tidy itself would look for tensors among all values of an array. */
function tidyValue<T>(tf: TF, run: () => T): T {
  const results: T[] = [];
  tf.tidy(() => void results.push(run()));
  return results[0] as T;
}

/** Norm of the difference of all outputs together, relative to the norm of what is expected. */
function relativeDifference(step: StepGraph, inputs: ShardInputs, expected: readonly Float32Array[]): number {
  let squares = 0;
  let differences = 0;
  const outputs = step.run(inputs.images(), inputs);
  expected.forEach((tensor, output) => {
    const values = outputs.read(output);
    tensor.forEach((value, i) => {
      squares += value ** 2;
      differences += (value - (values[i] ?? NaN)) ** 2;
    });
  });
  outputs.dispose();
  return differences === 0 ? 0 : Math.sqrt(differences / squares);
}

/** Half the range of what is added to weights: small enough for every model to stay finite with. */
const WEIGHT_NOISE = 1 / 16;

const hashNoise = (seed: number, i: number): number =>
  Math.imul(Math.imul(i + 1, 2654435761) ^ (seed + 1), 2246822519) >>> 16;

/** A shard of noise, other for each seed, on which a graph is captured and tried without keeping anybody's samples. */
export function noiseShard({ data }: Job, samples: number, seed: number): Shard {
  return {
    sampleNumbers: Uint32Array.from({ length: samples }, (_, i) => i + seed * samples),
    images: Uint8Array.from(
      { length: samples * sizeOf(data.sampleShape) },
      (_, i) => hashNoise(seed, i) & 255,
    ),
    labels: Uint8Array.from({ length: samples }, (_, i) => hashNoise(seed, i) % data.classes),
  };
}

/**
 * Runs something while noise is added to the weights, which are put back then. Weights of zero, as many a last layer
 * starts with, make gradients of zero, which are the same in whatever order they are summed.
 */
export function withNoisyWeights<T>(tf: TF, variables: readonly Variable[], run: () => T): T {
  const kept = variables.map((variable) => variable.clone());
  try {
    variables.forEach((variable, v) => {
      const noise = Float32Array.from(
        { length: variable.size },
        (_, i) => (hashNoise(v, i) / 2 ** 15 - 1) * WEIGHT_NOISE,
      );
      tf.tidy(() => {
        variable.assign(tf.add(variable, tf.tensor(noise, variable.shape)));
      });
    });
    return run();
  } finally {
    variables.forEach((variable, v) => {
      const weights = kept[v];
      if (weights === undefined) return;
      variable.assign(weights);
      weights.dispose();
    });
  }
}
