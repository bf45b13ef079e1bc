import type * as tfjs from '@tensorflow/tfjs';
import { describeCode } from '../model/custom-code.ts';
import type { Job } from '../model/job.ts';
import { customTerms } from '../model/outputs.ts';
import { sizeOf, type Slice } from '../model/layout.ts';
import { Scoring } from '../model/scoring.ts';
import { CustomObjects } from './custom-objects.ts';
import type { EngineInfo } from '../protocol/messages.ts';
import type { Engine, GradientBucket, GradientComputer } from './engine.ts';
import type { KernelFactors } from './dense-factors.ts';
import { computesDropout, keyedDropout } from '../kernels/fused-ops.ts';
import { withMicroShards } from './micro-shards.ts';
import type { MaskSource } from './layers/random-source.ts';
import type { TF } from '../util/tf.ts';
import { createModelStep, type ModelStep } from './model-step.ts';
import { ShardInputs } from './shard-inputs.ts';

/** Transfers of float32 tensors. A read's target has the tensor's number of values. */
export interface TensorTransfers {
  read(tensor: tfjs.Tensor, target: Float32Array): Promise<void>;
  /** Reads several tensors with one transfer, for backends on a device. */
  readTogether?(tensors: readonly tfjs.Tensor[], targets: readonly Float32Array[]): Promise<void>;
  /** Uploads tensors with one transfer before they are used, for backends on a device. */
  uploadTogether?(tensors: readonly tfjs.Tensor[]): void;
  /** Synchronous read, for backends with the values in this process's memory. */
  readSync?(tensor: tfjs.Tensor, target: Float32Array): void;
}

/** Transfers of any backend, with a temporary copy. */
export const copyingTransfers: TensorTransfers = {
  read: async (tensor, target) => target.set(await tensor.data()),
};

/**
 * Creates an engine on the current backend of `tf`.
 * @param transfers of tensors, if the backend has faster ones than copyingTransfers
 */
export function createEngine(tf: TF, info: EngineInfo, transfers = copyingTransfers): Engine {
  return {
    info,
    load: async (job, module) => {
      const modelStep = await createModelStep(tf, job, await loadCustomObjects(tf, job, module));
      return withMicroShards(
        createGradientComputer(tf, job, modelStep, new ShardInputs(job), transfers),
        job,
      );
    },
  };
}

/**
 * Layers, losses and metrics of a job's custom code; null if it has none.
 * @param module address of the code; see Engine
 * @throws Error with a sentence if the code is missing or cannot be used
 */
export async function loadCustomObjects(
  tf: TF,
  { customCode }: Job,
  module: string | undefined,
): Promise<CustomObjects | null> {
  if (customCode === undefined) return null;
  if (module !== undefined) return CustomObjects.import(tf, customCode, module);
  throw new Error(`The custom code of this job (${describeCode(customCode)}) is not here.`);
}

/** Reads tensors, each into the array of the same number. */
async function readInto(
  transfers: TensorTransfers,
  tensors: readonly tfjs.Tensor[],
  targets: readonly Float32Array[],
): Promise<void> {
  if (transfers.readTogether !== undefined) return transfers.readTogether(tensors, targets);
  await Promise.all(tensors.map((tensor, i) => transfers.read(tensor, targets[i] as Float32Array)));
}

/** Creates a gradient computer that runs every step op by op. */
export function createGradientComputer(
  tf: TF,
  job: Job,
  modelStep: ModelStep,
  inputs: ShardInputs,
  transfers: TensorTransfers,
): GradientComputer {
  const { built } = modelStep;
  const { slices } = built.layout;
  const scoring = new Scoring(job);
  const hasCustom = customTerms(job.outputs).length > 0;

  /** Tensors of the inputs: [samples, ...shape] each. */
  const inputsOf = (values: readonly Float32Array[], samples: number): tfjs.Tensor[] =>
    job.inputs.map(({ shape }, i) => tf.tensor(values[i] ?? [], [samples, ...shape]));

  /** Tensors of the targets and of the samples' weights. */
  const targetsOf = (values: readonly Float32Array[], samples: number): tfjs.Tensor[] =>
    values.map((array, i) => tf.tensor(array, [samples, ...(job.outputs[i]?.shape ?? [])]));

  /** Tensor with the bits of the samples' keys: [samples, 2]. */
  const keysOf = (words: Uint32Array): tfjs.Tensor =>
    tf.tensor(new Int32Array(words.buffer), [words.length / 2, 2], 'int32');

  /** Returns a listener that reads the bucket's gradients during the backward pass and reports when all are read. */
  const bucketReader = (
    bucket: GradientBucket,
    gradient: Float32Array,
    read: Set<number>,
  ): ((index: number, tensor: tfjs.Tensor, into?: Float32Array) => void) => {
    let missing = slices.filter(({ offset }) => offset >= bucket.offset).length;
    return (i, tensor, into) => {
      const { offset, size } = slices[i] as Slice;
      if (offset < bucket.offset || read.has(i)) return;
      transfers.readSync?.(tensor, into ?? gradient.subarray(offset, offset + size));
      read.add(i);
      if (--missing === 0) bucket.onReady();
    };
  };

  const { factoredIndex } = modelStep;
  /** Parts of the gradient that receive the two factors. */
  const factorTargets = (
    gradient: Float32Array,
    { inputs: x, outputGradient }: KernelFactors,
  ): [Float32Array, Float32Array] => {
    const start = slices[factoredIndex ?? -1]?.offset ?? 0;
    const middle = start + x.size;
    return [gradient.subarray(start, middle), gradient.subarray(middle, middle + outputGradient.size)];
  };

  return {
    supportsFactors: factoredIndex !== null,
    setWeights: (weights) => built.setWeights(weights),

    async gradient(step, shard, gradient, bucket, isFactored = false) {
      inputs.prepare(step, shard);
      const alreadyRead = new Set<number>();
      const onGradient = bucket && transfers.readSync && bucketReader(bucket, gradient, alreadyRead);
      const received: { factors?: KernelFactors } = {};
      const onFactors = (factors: KernelFactors): void => {
        received.factors = factors;
        if (onGradient === undefined || factoredIndex === null) return;
        const [x, g] = factorTargets(gradient, factors);
        transfers.readSync?.(factors.inputs, x);
        onGradient(factoredIndex, factors.outputGradient, g);
      };
      const { outputs, parts } = tf.tidy(() => {
        try {
          const samples = shard.sampleNumbers.length;
          const values = inputsOf(inputs.values(), samples);
          const targets = targetsOf(inputs.targets(), samples);
          const keys = computesDropout(tf) ? keysOf(inputs.keys()) : null;
          transfers.uploadTogether?.([
            ...[...values, ...targets, ...built.variables],
            ...(keys === null ? [] : [keys]),
          ]);
          const masks: MaskSource = {
            draw: (layer, draw, shape) => tf.tensor(inputs.mask(layer, draw, sizeOf(shape)), shape),
            ...(keys !== null && { dropout: (layer, rate, x) => keyedDropout(tf, x, keys, layer, rate) }),
          };
          return isFactored
            ? modelStep.factoredGradient(values, targets, masks, onGradient, onFactors)
            : modelStep.gradient(values, targets, masks, onGradient);
        } finally {
          inputs.discard();
        }
      });
      try {
        const { factors } = received;
        const isInFactors = (i: number): boolean => factors !== undefined && i === factoredIndex;
        const missing = slices.flatMap(({ offset, size }, i) =>
          alreadyRead.has(i) || isInFactors(i)
            ? []
            : [{ tensor: parts[i] as tfjs.Tensor, target: gradient.subarray(offset, offset + size) }],
        );
        if (factors !== undefined && factoredIndex !== null && !alreadyRead.has(factoredIndex)) {
          const [x, g] = factorTargets(gradient, factors);
          missing.push({ tensor: factors.inputs, target: x }, { tensor: factors.outputGradient, target: g });
        }
        const values = outputs.map(({ size }) => new Float32Array(size));
        await readInto(
          transfers,
          [...missing.map(({ tensor }) => tensor), ...outputs],
          [...missing.map(({ target }) => target), ...values],
        );
        return { ...scoring.score(values, shard), isFactored };
      } finally {
        tf.dispose([outputs, parts]);
        received.factors?.outputGradient.dispose();
      }
    },

    prepare: (step, shard) => inputs.prepare(step, shard),

    async evaluate(shard) {
      const outputs = tf.tidy(() => {
        const samples = shard.sampleNumbers.length;
        const values = inputsOf(inputs.convert(shard.inputs), samples);
        return modelStep.outputs(
          values,
          hasCustom ? targetsOf(inputs.convertTargets(shard), samples) : undefined,
        );
      });
      try {
        const values = outputs.map(({ size }) => new Float32Array(size));
        await readInto(transfers, outputs, values);
        return scoring.score(values, shard);
      } finally {
        tf.dispose(outputs);
      }
    },

    async predict(stored, samples, output = 0) {
      const probabilities = tf.tidy(() =>
        modelStep.predictions(modelStep.outputs(inputsOf(inputs.convert(stored), samples)), output),
      );
      try {
        const values = new Float32Array(probabilities.size);
        await transfers.read(probabilities, values);
        return values;
      } finally {
        probabilities.dispose();
      }
    },

    dispose: () => built.dispose(),
  };
}
