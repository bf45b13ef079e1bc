import type { Tensor, Variable } from '@tensorflow/tfjs';
import type { MaskSource } from '../../../shared/engine/layers/random-source.ts';
import type { Draw } from '../../../shared/kernels/masks/random-values.ts';
import type { TF } from '../../../shared/util/tf.ts';
import type { ModelStep } from '../../../shared/engine/model-step.ts';
import { microShardSizes } from '../../../shared/engine/micro-shards.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { randomShard } from '../../../shared/data/random-shard.ts';
import type { Job } from '../../../shared/model/job.ts';
import { sizeOf } from '../../../shared/model/layout.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import type { Native } from './backend.ts';
import { capture, type NameInput, CapturedGraph } from './capture.ts';
import type { NativeTensors } from './native-tensors.ts';
import type { Shard } from '../../../shared/data/shard.ts';

/**
 * Largest accepted difference between a graph and the same step op by op, relative to the norm. Rounding in another order,
 * enlarged by batch normalization, stays below it; an input that was captured as a constant causes a difference near 1.
 */
const TOLERANCE = 1e-4;

/**
 * Computation of a model. gradient: the gradient's tensors and the model's outputs; added: the same, added to the tensors of
 * another gradient; cut: the same, summed by micro-shards; factored: the same with factors; outputs: the model's outputs
 * without dropout.
 */
export type GraphKind = 'gradient' | 'added' | 'cut' | 'factored' | 'outputs';

interface MaskInput {
  readonly layer: number;
  readonly draw: Draw;
  readonly shape: number[];
}

/** Captured step for shards of one size. */
export interface StepGraph {
  /**
   * Runs the graph with the model's current weights.
   * @param values of each input: [samples, ...shape]
   * @param inputs for gradients: prepared for the shard
   * @param left for 'added': the gradient that is added to
   * @returns the tensors of the gradient in the order of the layout (none for 'outputs'), for 'factored' the output gradient,
   *   then the model's outputs; the caller disposes of them
   */
  run(values: readonly Float32Array[], inputs: ShardInputs, left?: NativeTensors): NativeTensors;
  dispose(): void;
}

/**
 * Checks a captured graph.
 * @returns a phrase that says why the graph must not be used, or null
 */
export type GraphCheck = (graph: StepGraph, inputs: ShardInputs) => string | null;

/**
 * Captures a computation for shards of one size, and checks the graph on other inputs than those of the capture, which finds
 * inputs that were captured as constants.
 * @param check compares bits, if the graph must have the bits of another computation; by default the graph is compared with
 *   the step op by op
 * @throws Error with a phrase that says why there is no such graph
 */
export function captureStep(
  native: Native,
  job: Job,
  modelStep: ModelStep,
  kind: GraphKind,
  samples: number,
  check?: GraphCheck,
): StepGraph {
  const { tf } = native;
  const { variables } = modelStep.built;
  const inputShapes = job.inputs.map(({ shape }) => [samples, ...shape]);
  /** Shapes of the targets, then of the samples' weights. */
  const targetShapes = [...job.outputs.map(({ shape }) => [samples, ...shape]), [samples]];
  const noiseInputs = new ShardInputs(job);
  const masks: MaskInput[] = [];

  /** Computes op by op and names the inputs. */
  const compute = (inputs: ShardInputs, nameInput: NameInput): Tensor[] => {
    const named = (name: string, values: Float32Array, shape: number[]): Tensor => {
      const tensor = tf.tensor(values, shape);
      nameInput(name, tensor);
      return tensor;
    };
    const values = inputs.values().map((array, i) => named(`input_${i}`, array, inputShapes[i] ?? []));
    variables.forEach((variable, i) => nameInput(`weights_${i}`, variable));
    if (kind === 'outputs') return modelStep.outputs(values);
    const targets = inputs.targets().map((array, i) => named(`target_${i}`, array, targetShapes[i] ?? []));
    const source: MaskSource = {
      draw(layer, draw, shape) {
        masks.push({ layer, draw, shape });
        return named(`mask_${masks.length - 1}`, inputs.mask(layer, draw, sizeOf(shape)), shape);
      },
    };
    if (kind === 'factored') {
      const outputGradients: Tensor[] = [];
      const { parts, outputs } = modelStep.factoredGradient(values, targets, source, undefined, (factors) =>
        outputGradients.push(factors.outputGradient),
      );
      return [...parts, ...outputGradients, ...outputs];
    }
    const { parts, outputs } = modelStep.gradient(values, targets, source);
    if (kind !== 'added') return [...parts, ...outputs];
    const sums = parts.map((part, i) =>
      tf.add(named(`left_${i}`, new Float32Array(part.size), part.shape), part),
    );
    return [...sums, ...outputs];
  };

  const split =
    kind === 'cut'
      ? { reductions: variables.length, parts: microShardSizes(samples, job.microShard ?? samples) }
      : undefined;
  noiseInputs.prepare(0 as Step, noiseShard(job, samples, 0));
  const { capture: captured } = tidyValue(tf, () => {
    const result = capture(native, (nameInput) => compute(noiseInputs, nameInput), split);
    tf.dispose(result.results);
    return result;
  });
  const graph = new CapturedGraph(native, captured);

  const step: StepGraph = {
    run: (values, inputs, left) =>
      tidyValue(tf, () => {
        const tensors: Tensor[] = values.map((array, i) => tf.tensor(array, inputShapes[i]));
        tensors.push(...variables);
        if (kind !== 'outputs') {
          inputs.targets().forEach((target, i) => tensors.push(tf.tensor(target, targetShapes[i])));
          for (const { layer, draw, shape } of masks) {
            tensors.push(tf.tensor(inputs.mask(layer, draw, sizeOf(shape)), shape));
          }
        }
        return graph.run(tensors, left?.ids(variables.length));
      }),
    dispose: () => graph.dispose(),
  };

  try {
    noiseInputs.prepare(1 as Step, noiseShard(job, samples, 1));
    if (check !== undefined) {
      const failure = withNoisyWeights(tf, variables, () => check(step, noiseInputs));
      if (failure !== null) throw new Error(failure);
      return step;
    }
    const capturedMasks = masks.length;
    const expected = tidyValue(tf, () => {
      const results = compute(noiseInputs, () => undefined);
      const values = results.map((tensor) => tensor.dataSync<'float32'>());
      tf.dispose(results);
      return values;
    });
    masks.splice(capturedMasks);
    const difference = relativeDifference(step, noiseInputs, expected);
    // Negated, so that NaN fails too.
    if (!(difference <= TOLERANCE)) {
      throw new Error(`the graph's result is off by ${difference.toExponential(1)} of its norm`);
    }
    return step;
  } catch (error) {
    graph.dispose();
    throw error;
  }
}

/** Runs tf.tidy with a result that holds no tensors: tidy would search all values of an array for tensors. */
function tidyValue<T>(tf: TF, run: () => T): T {
  const results: T[] = [];
  tf.tidy(() => void results.push(run()));
  return results[0] as T;
}

/** Norm of the difference of all outputs, relative to the norm of the expected values. */
function relativeDifference(step: StepGraph, inputs: ShardInputs, expected: readonly Float32Array[]): number {
  let squares = 0;
  let differences = 0;
  const outputs = step.run(inputs.values(), inputs);
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

/** Largest noise that is added to weights: so small that the results of every model stay finite. */
const WEIGHT_NOISE = 1 / 16;

const hashNoise = (seed: number, i: number): number =>
  Math.imul(Math.imul(i + 1, 2654435761) ^ (seed + 1), 2246822519) >>> 16;

/** Creates a shard of noise by a seed. Graphs are captured and checked with it, so that they contain no samples of users. */
export function noiseShard(job: Job, samples: number, seed: number): Shard {
  const sampleNumbers = Uint32Array.from({ length: samples }, (_, i) => i + seed * samples);
  const words = randomStream(seed, Purpose.engineFingerprint, samples);
  return { ...randomShard(job, samples, words), sampleNumbers };
}

/**
 * Runs a function with noise added to the weights, which are restored then. Weights of zero, with which many last layers
 * start, would make gradients of zero, whose sums do not depend on the order.
 */
export function withNoisyWeights<T>(tf: TF, variables: readonly Variable[], run: () => T): T {
  const saved = variables.map((variable) => variable.clone());
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
      const weights = saved[v];
      if (weights === undefined) return;
      variable.assign(weights);
      weights.dispose();
    });
  }
}
