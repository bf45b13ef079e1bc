import type * as tfjs from '@tensorflow/tfjs';
import type { Job } from '../model/job.ts';
import { sizeOf } from '../model/layout.ts';
import { scoreLogits } from '../model/loss.ts';
import type { EngineInfo } from '../protocol/messages.ts';
import type { Engine, Trainer } from './engine.ts';
import type { TF } from './model.ts';
import { createModelStep, type ModelStep } from './model-step.ts';
import { ShardInputs } from './shard-inputs.ts';

/** Copies a float32 tensor's values into `target`, which has just their number. */
export type ReadInto = (tensor: tfjs.Tensor, target: Float32Array) => Promise<void>;

/** Any backend can do this, by way of a copy that is thrown away. */
export const readByData: ReadInto = async (tensor, target) => target.set(await tensor.data());

/**
 * An engine out of whatever backend `tf` has been set to.
 * @param readInto the backend's own way to read a tensor back, if it has a shorter one
 */
export function createEngine(tf: TF, info: EngineInfo, readInto = readByData): Engine {
  return {
    info,
    load: async (job) =>
      createTrainer(tf, job, await createModelStep(tf, job), new ShardInputs(job), readInto),
  };
}

/** A trainer that runs every step op by op. */
export function createTrainer(
  tf: TF,
  job: Job,
  modelStep: ModelStep,
  inputs: ShardInputs,
  readInto: ReadInto,
): Trainer {
  const { built } = modelStep;
  const { sampleShape, classes } = job.data;

  /** [samples, ...sampleShape] */
  const inputOf = (values: Float32Array): tfjs.Tensor =>
    tf.tensor(values, [values.length / sizeOf(sampleShape), ...sampleShape]);

  return {
    setWeights: (weights) => built.setWeights(weights),

    async gradient(step, shard, gradient) {
      inputs.prepare(step, shard);
      const { logits, parts } = tf.tidy(() => {
        try {
          const target = tf.tensor(inputs.target(), [shard.labels.length, classes]);
          return modelStep.gradient(inputOf(inputs.images()), target, (layer, rate, shape) =>
            tf.tensor(inputs.mask(layer, rate, sizeOf(shape)), shape),
          );
        } finally {
          inputs.forget();
        }
      });
      try {
        await Promise.all(
          built.layout.slices.map(({ offset, size }, i) =>
            readInto(parts[i] as tfjs.Tensor, gradient.subarray(offset, offset + size)),
          ),
        );
        return scoreLogits(await logits.data(), shard.labels, classes);
      } finally {
        tf.dispose([logits, parts]);
      }
    },

    prepare: (step, shard) => inputs.prepare(step, shard),

    async evaluate(shard) {
      const logits = tf.tidy(() => modelStep.logits(inputOf(inputs.scaled(shard.images))));
      try {
        return scoreLogits(await logits.data(), shard.labels, classes);
      } finally {
        logits.dispose();
      }
    },

    async predict(images, _samples) {
      const probabilities = tf.tidy(() => tf.softmax(modelStep.logits(inputOf(inputs.scaled(images)))));
      try {
        return (await probabilities.data()) as Float32Array;
      } finally {
        probabilities.dispose();
      }
    },

    dispose: () => built.dispose(),
  };
}
