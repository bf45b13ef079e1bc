import type { GradientComputer, ShardResult } from '../../../shared/engine/engine.ts';
import type { ModelStep } from '../../../shared/engine/model-step.ts';
import { microShardSizes } from '../../../shared/engine/micro-shards.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { createGradientComputer, copyingTransfers } from '../../../shared/engine/tf-engine.ts';
import type { TensorValues } from '../../../shared/model/tensors.ts';
import type { Job } from '../../../shared/model/job.ts';
import { Scoring } from '../../../shared/model/scoring.ts';
import type { Native } from './backend.ts';
import { ExactGradients } from './exact-gradients.ts';
import type { NativeTensors } from './native-tensors.ts';
import { captureStep, type GraphKind, type GraphCheck } from './step-capture.ts';
import { StepGraphs, type CaptureOptions } from './step-graphs.ts';
import { addMatchesReference } from './rounding-check.ts';
import type { Shard } from '../../../shared/data/shard.ts';

/**
 * Computes the first shard of each size op by op, captures the computation as a TensorFlow graph when no answer is awaited, and
 * replays the graph from then on. Computations that cannot be captured run op by op.
 */
export function createCapturedGradientComputer(
  native: Native,
  job: Job,
  modelStep: ModelStep,
  options: CaptureOptions,
): GradientComputer {
  const { tf, backend } = native;
  const { built } = modelStep;
  const shapes = built.layout.slices.map(({ shape }) => shape);
  const scoring = new Scoring(job);
  const inputs = new ShardInputs(job);
  const read = outputReader(modelStep, scoring);
  const eager = createGradientComputer(tf, job, modelStep, inputs, copyingTransfers);
  const isExact = job.microShard !== undefined;
  // A session's outputs are in the host's memory: a GPU would have to upload them to add them.
  const accumulates =
    isExact && backend.isUsingGpuDevice !== true && addMatchesReference(backend.binding, shapes);

  const graphs = new StepGraphs(job, options, {
    capture: (kind, samples) => captureStep(native, job, modelStep, kind, samples, checkOf(kind, samples)),
    accumulates,
  });
  const exactGradients = new ExactGradients({
    binding: backend.binding,
    graphs,
    shapes,
    scoring,
    outputWidths: modelStep.outputSizes,
    microShardSizes: (samples) => microShardSizes(samples, job.microShard ?? samples),
  });
  const checkOf = (kind: GraphKind, samples: number): GraphCheck | undefined => {
    if (kind === 'added') return exactGradients.checkAccumulatingGraph(samples);
    return kind === 'cut' ? exactGradients.checkSplitGraph(samples) : undefined;
  };

  /**
   * Runs the graph of a shard, if there is one.
   * @param prepare prepares the shard and returns the values of its inputs
   * @returns the outputs, which the caller disposes of, or null
   */
  const replay = (
    kind: GraphKind,
    samples: number,
    prepare: () => readonly Float32Array[],
  ): NativeTensors | null => {
    const graph = graphs.get(kind, samples);
    if (graph === undefined) return null;
    const values = prepare();
    try {
      return graph.run(values, inputs);
    } catch (error) {
      if (isExact) throw error;
      graphs.disable(kind, error);
      return null;
    } finally {
      inputs.discard();
    }
  };

  const replayOutputs = (stored: readonly TensorValues[], samples: number): Float32Array[] | null => {
    const outputs = replay('outputs', samples, () => inputs.convert(stored));
    return outputs && read.outputs(outputs);
  };

  const gradientInMicroShards: GradientComputer['gradientInMicroShards'] = (step, shard, gradient) => {
    inputs.prepare(step, shard);
    try {
      return exactGradients.compute(inputs, shard, (sums) => read.gradientTensors(sums, gradient));
    } finally {
      inputs.discard();
      options.idle.recordAnswer();
    }
  };

  return {
    supportsFactors: modelStep.factoredIndex !== null,
    setWeights: (weights) => eager.setWeights(weights),
    prepare: (step, shard) => eager.prepare(step, shard),

    async gradient(step, shard, gradient, _bucket, isFactored = false) {
      const kind = isFactored ? 'factored' : 'gradient';
      const outputs = replay(kind, shard.sampleNumbers.length, () => {
        inputs.prepare(step, shard);
        return inputs.values();
      });
      const result =
        outputs === null
          ? await eager.gradient(step, shard, gradient, undefined, isFactored)
          : read.gradient(outputs, shard, gradient, isFactored);
      if (outputs === null) graphs.request(kind, shard.sampleNumbers.length);
      options.idle.recordAnswer();
      return result;
    },

    ...(accumulates ? { gradientInMicroShards } : {}),

    async evaluate(shard) {
      const outputs = replayOutputs(shard.inputs, shard.sampleNumbers.length);
      const result = outputs === null ? await eager.evaluate(shard) : scoring.score(outputs, shard);
      if (outputs === null) graphs.request('outputs', shard.sampleNumbers.length);
      options.idle.recordAnswer();
      return result;
    },

    async predict(stored, samples, output = 0) {
      const outputs = replayOutputs(stored, samples);
      if (outputs !== null) {
        return tf.tidy(() => {
          const tensors = outputs.map((values, i) =>
            tf.tensor(values, [samples, ...(job.outputs[i]?.shape ?? [])]),
          );
          return modelStep.predictions(tensors, output).dataSync<'float32'>();
        });
      }
      const probabilities = await eager.predict(stored, samples, output);
      graphs.request('outputs', samples);
      return probabilities;
    },

    dispose() {
      graphs.dispose();
      eager.dispose();
    },
  };
}

/** Reads the outputs of a model's graphs, in the order of StepGraph. */
export interface OutputReader {
  /** Reads all outputs of a gradient graph and disposes of them. */
  gradient(outputs: NativeTensors, shard: Shard, gradient: Float32Array, isFactored: boolean): ShardResult;
  /** Reads the outputs of a graph without a gradient and disposes of them. */
  outputs(outputs: NativeTensors): Float32Array[];
  /** Reads only the gradient's tensors. */
  gradientTensors(outputs: NativeTensors, gradient: Float32Array): void;
}

/** Reader of the outputs of a job's graphs. */
export function outputReader(
  { built, factoredIndex, outputSizes }: ModelStep,
  scoring: Scoring,
): OutputReader {
  const { slices } = built.layout;
  const kernel = slices[factoredIndex ?? -1];

  /** Reads the model's outputs, the first of which is at `first`. */
  const outputsAt = (outputs: NativeTensors, first: number): Float32Array[] =>
    outputSizes.map((_, i) => outputs.read(first + i));
  const scoresAt = (outputs: NativeTensors, first: number, shard: Shard): ShardResult =>
    scoring.score(outputsAt(outputs, first), shard);

  const gradientTensors = (outputs: NativeTensors, gradient: Float32Array): void =>
    slices.forEach(({ offset }, i) => gradient.set(outputs.read(i), offset));

  return {
    gradientTensors,

    gradient: (outputs, shard, gradient, isFactored) =>
      readAndDispose(outputs, () => {
        gradientTensors(outputs, gradient);
        if (!isFactored) return { ...scoresAt(outputs, slices.length, shard), isFactored };
        const outputGradientOffset =
          (kernel?.offset ?? 0) + shard.sampleNumbers.length * (kernel?.shape[0] ?? 0);
        gradient.set(outputs.read(slices.length), outputGradientOffset);
        return { ...scoresAt(outputs, slices.length + 1, shard), isFactored };
      }),

    outputs: (outputs) => readAndDispose(outputs, () => outputsAt(outputs, 0)),
  };
}

function readAndDispose<T>(outputs: NativeTensors, read: () => T): T {
  try {
    return read();
  } finally {
    outputs.dispose();
  }
}
