import * as v from 'valibot';
import { optimizerSchema } from './optimizer-settings.ts';
import { findMisfit, outputSpecs } from './outputs.ts';
import { isSampleSmall, sampleBytes, tensorSpecs, type SampleFormat } from './tensors.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const uint32 = v.pipe(count, v.maxValue(2 ** 32 - 1));

/** Tensor of the model, in the order of the flat vector. */
const layoutEntry = v.object({
  shape: v.array(count),
  /** false for statistics such as a batch normalization's moving mean, which no optimizer changes. */
  trainable: v.boolean(),
});

/** Largest payload of a batch: a gibibyte, less the room of a frame's header. */
const MAX_BATCH_BYTES = 2 ** 30 - 2 ** 23;

/**
 * Training job: everything that a worker must know besides the weights. The welcome message contains it, so that workers need no
 * change for another model.
 */
const jobFields = v.object({
  /** Keras topology as tfjs-layers writes it: { class_name, config }. */
  topology: v.record(v.string(), v.unknown()),
  layout: v.pipe(v.array(layoutEntry), v.minLength(1)),
  optimizer: optimizerSchema,
  batchSize: positive,
  epochs: count,
  seed: uint32,
  /** Samples of a micro-shard. If set, workers split shards into micro-shards and sum them along the tree of PairwiseSum. */
  microShard: v.optional(v.pipe(positive, v.maxValue(65_536))),
  /** Inputs of the model, in its order. */
  inputs: tensorSpecs(1),
  /** Values that the model's outputs are compared with, in the order of the outputs. */
  targets: tensorSpecs(1),
  /** Outputs of the model with their losses and metrics, in its order; one for each target. */
  outputs: outputSpecs,
  /** Whether every sample has a weight. */
  sampleWeights: v.optional(v.boolean()),
  data: v.object({
    name: v.pipe(v.string(), v.maxLength(200), v.transform(sanitizeForTerminal)),
    trainSamples: positive,
    testSamples: positive,
    /** Identifies all samples; workers keep samples by it. */
    digest: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits'))),
  }),
});

/** Whether each output has a target that its loss and metrics take. */
const hasTargets = ({
  outputs,
  targets,
}: Pick<v.InferOutput<typeof jobFields>, 'outputs' | 'targets'>): boolean =>
  outputs.length === targets.length &&
  outputs.every((output, i) => {
    const target = targets[i];
    return target !== undefined && findMisfit(output, target) === null;
  });
const isBatchSmall = (job: SampleFormat & { readonly batchSize: number }): boolean =>
  job.batchSize * sampleBytes(job) <= MAX_BATCH_BYTES;

const SAMPLE_LIMIT = 'samples of at most 64 MiB';
const TARGETS = 'a target for each output';
const BATCH_LIMIT = 'batches of at most 1,016 MiB';

export const jobSchema = v.pipe(
  jobFields,
  v.check((job) => isSampleSmall(job), SAMPLE_LIMIT),
  v.check((job) => hasTargets(job), TARGETS),
  v.check((job) => isBatchSmall(job), BATCH_LIMIT),
);
export type Job = v.InferOutput<typeof jobSchema>;

const receivedFields = v.object({
  ...jobFields.entries,
  optimizer: v.looseObject({ name: v.pipe(v.string(), v.maxLength(40)) }),
}) as unknown as typeof jobFields;
/**
 * Job as a worker reads it. The coordinator alone applies the optimizer, so a worker accepts any that has a name, also one that
 * it does not know. No code of a worker reads another field of it, which is why the type is that of a known one.
 */
export const receivedJobSchema = v.pipe(
  receivedFields,
  v.check((job) => isSampleSmall(job), SAMPLE_LIMIT),
  v.check((job) => hasTargets(job), TARGETS),
  v.check((job) => isBatchSmall(job), BATCH_LIMIT),
);
/** Received job without the topology, as a saved model has it. */
export const receivedJobWithoutTopology = v.omit(receivedFields, ['topology']);
export type Topology = Job['topology'];
export type LayoutEntry = Job['layout'][number];
