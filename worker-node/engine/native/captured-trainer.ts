import type { Trainer } from '../../../shared/engine/engine.ts';
import type { ModelStep } from '../../../shared/engine/model-step.ts';
import { partSizes } from '../../../shared/engine/micro-shards.ts';
import { ShardInputs } from '../../../shared/engine/shard-inputs.ts';
import { createTrainer, readByData } from '../../../shared/engine/tf-engine.ts';
import type { Job } from '../../../shared/model/job.ts';
import { scoreLogits } from '../../../shared/model/loss.ts';
import type { Native } from './backend.ts';
import { ExactGradients } from './exact-gradients.ts';
import type { HeldTensors } from './held-tensors.ts';
import { outputReader } from './output-reader.ts';
import { captureStep, type GraphKind, type Trial } from './step-capture.ts';
import { StepGraphs, type CaptureOptions } from './step-graphs.ts';
import { addsAsDefined } from './telling-sums.ts';

/**
 * A trainer that computes the first shard of each size op by op, captures the computation as a TensorFlow graph when
 * nobody waits for it, and replays that from then on. What cannot be captured stays op by op.
 */
export function createCapturedTrainer(
  native: Native,
  job: Job,
  modelStep: ModelStep,
  options: CaptureOptions,
): Trainer {
  const { tf, backend } = native;
  const { built } = modelStep;
  const shapes = built.layout.slices.map(({ shape }) => shape);
  const { classes } = job.data;
  const inputs = new ShardInputs(job);
  const read = outputReader(modelStep, classes);
  const eager = createTrainer(tf, job, modelStep, inputs, readByData);
  const exact = job.microShard !== undefined;
  // A session's outputs lie in the host's memory: a GPU would have to fetch them to add them.
  const addsHeld = exact && backend.isUsingGpuDevice !== true && addsAsDefined(backend.binding, shapes);

  const graphs = new StepGraphs(job, options, {
    capture: (kind, samples) => captureStep(native, job, modelStep, kind, samples, trialOf(kind, samples)),
    adding: addsHeld,
  });
  const exactGradients = new ExactGradients({
    binding: backend.binding,
    graphs,
    shapes,
    classes,
    partSizes: (samples) => partSizes(samples, job.microShard ?? samples),
  });
  const trialOf = (kind: GraphKind, samples: number): Trial | undefined => {
    if (kind === 'added') return exactGradients.addedTrial(samples);
    return kind === 'cut' ? exactGradients.cutTrial(samples) : undefined;
  };

  /**
   * Runs a shard's graph, if there is one.
   * @param prepare makes the shard's inputs, and returns its images
   * @returns its outputs, the caller's to dispose
   */
  const replay = (kind: GraphKind, samples: number, prepare: () => Float32Array): HeldTensors | null => {
    const graph = graphs.use(kind, samples);
    if (graph === undefined) return null;
    const scaled = prepare();
    try {
      return graph.run(scaled, inputs);
    } catch (error) {
      if (exact) throw error;
      graphs.giveUp(kind, error);
      return null;
    } finally {
      inputs.forget();
    }
  };

  const replayLogits = (images: Uint8Array, samples: number): Float32Array | null => {
    const outputs = replay('logits', samples, () => inputs.scaled(images));
    return outputs && read.logits(outputs);
  };

  const gradientInMicroShards: Trainer['gradientInMicroShards'] = (step, shard, gradient) => {
    inputs.prepare(step, shard);
    try {
      return exactGradients.compute(inputs, shard, (sums) => read.parts(sums, gradient));
    } finally {
      inputs.forget();
      options.idle.answered();
    }
  };

  return {
    givesFactors: modelStep.factored !== null,
    setWeights: (weights, from) => eager.setWeights(weights, from),
    prepare: (step, shard) => eager.prepare(step, shard),

    async gradient(step, shard, gradient, _tail, factored = false) {
      const kind = factored ? 'factored' : 'gradient';
      const outputs = replay(kind, shard.labels.length, () => {
        inputs.prepare(step, shard);
        return inputs.images();
      });
      const result =
        outputs === null
          ? await eager.gradient(step, shard, gradient, undefined, factored)
          : read.gradient(outputs, shard, gradient, factored);
      if (outputs === null) graphs.wish(kind, shard.labels.length);
      options.idle.answered();
      return result;
    },

    ...(addsHeld ? { gradientInMicroShards } : {}),

    async evaluate(shard) {
      const logits = replayLogits(shard.images, shard.labels.length);
      const result =
        logits === null ? await eager.evaluate(shard) : scoreLogits(logits, shard.labels, classes);
      if (logits === null) graphs.wish('logits', shard.labels.length);
      options.idle.answered();
      return result;
    },

    async predict(images, samples) {
      const logits = replayLogits(images, samples);
      if (logits !== null) {
        return tf.tidy(() => tf.softmax(tf.tensor2d(logits, [samples, classes])).dataSync<'float32'>());
      }
      const probabilities = await eager.predict(images, samples);
      graphs.wish('logits', samples);
      return probabilities;
    },

    dispose() {
      graphs.dispose();
      eager.dispose();
    },
  };
}
