import * as v from 'valibot';
import { optimizerSchema, type OptimizerSettings } from './optimizer-settings.ts';
import { customCodeSchema, type CustomCode } from './custom-code.ts';
import { findMisfit, hasCustomTerms, outputSpecs, type OutputSpec } from './outputs.ts';
import { isSampleSmall, sampleBytes, tensorSpecs, type SampleFormat, type TensorSpec } from './tensors.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';
import type { SchemaFields } from '../util/schema-fields.ts';

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const uint32 = v.pipe(count, v.maxValue(2 ** 32 - 1));

/** Tensor of the model, in the order of the flat vector. */
export interface LayoutEntry {
  readonly shape: number[];
  /** false for statistics such as a batch normalization's moving mean, which no optimizer changes. */
  readonly trainable: boolean;
}

/** Keras topology as tfjs-layers writes it: { class_name, config }. */
export type Topology = Record<string, unknown>;

/** Data set of a job. */
interface JobData {
  readonly name: string;
  readonly trainSamples: number;
  readonly testSamples: number;
  /** Identifies all samples; workers keep samples by it. */
  readonly digest?: string | undefined;
}

/**
 * Training job: everything that a worker must know besides the weights. The welcome message contains it, so that workers need no
 * change for another model.
 */
export interface Job {
  readonly topology: Topology;
  readonly layout: LayoutEntry[];
  readonly optimizer: OptimizerSettings;
  readonly batchSize: number;
  readonly epochs: number;
  readonly seed: number;
  /** Samples of a micro-shard. If set, workers split shards into micro-shards and sum them along the tree of PairwiseSum. */
  readonly microShard?: number | undefined;
  /** Inputs of the model, in its order. */
  readonly inputs: TensorSpec[];
  /** Values that the model's outputs are compared with, in the order of the outputs. */
  readonly targets: TensorSpec[];
  /** Outputs of the model with their losses and metrics, in its order; one for each target. */
  readonly outputs: OutputSpec[];
  /** Whether every sample has a weight. */
  readonly sampleWeights?: boolean | undefined;
  /** Code that a person wrote, which the topology, losses and metrics name. */
  readonly customCode?: CustomCode | undefined;
  readonly data: JobData;
}

const layoutEntry = v.object({
  shape: v.array(count),
  trainable: v.boolean(),
} satisfies SchemaFields<LayoutEntry>);

/** Largest payload of a batch: a gibibyte, less the room of a frame's header. */
const MAX_BATCH_BYTES = 2 ** 30 - 2 ** 23;

const jobFields = v.object({
  topology: v.record(v.string(), v.unknown()),
  layout: v.pipe(v.array(layoutEntry), v.minLength(1)),
  optimizer: optimizerSchema,
  batchSize: positive,
  epochs: count,
  seed: uint32,
  microShard: v.optional(v.pipe(positive, v.maxValue(65_536))),
  inputs: tensorSpecs(1),
  targets: tensorSpecs(1),
  outputs: outputSpecs,
  sampleWeights: v.optional(v.boolean()),
  customCode: v.optional(customCodeSchema),
  data: v.object({
    name: v.pipe(v.string(), v.maxLength(200), v.transform(sanitizeForTerminal)),
    trainSamples: positive,
    testSamples: positive,
    digest: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits'))),
  } satisfies SchemaFields<JobData>),
} satisfies SchemaFields<Job>);

/** Whether each output has a target that its loss and metrics take. */
const hasTargets = ({ outputs, targets }: Pick<Job, 'outputs' | 'targets'>): boolean =>
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
const CUSTOM_TERMS = 'losses and metrics that are in the custom code';

/** @internal */
export const jobSchema: v.GenericSchema<unknown, Job> = v.pipe(
  jobFields,
  v.check((job) => isSampleSmall(job), SAMPLE_LIMIT),
  v.check((job) => hasTargets(job), TARGETS),
  v.check((job) => isBatchSmall(job), BATCH_LIMIT),
  v.check(({ outputs, customCode }) => hasCustomTerms(outputs, customCode), CUSTOM_TERMS),
);

const receivedFields = v.object({
  ...jobFields.entries,
  optimizer: v.looseObject({ name: v.pipe(v.string(), v.maxLength(40)) }),
}) as unknown as typeof jobFields;
/**
 * @internal Job as a worker reads it. The coordinator alone applies the optimizer, so a worker accepts any that has a name, also one that
 * it does not know. No code of a worker reads another field of it, which is why the type is that of a known one.
 */
export const receivedJobSchema: v.GenericSchema<unknown, Job> = v.pipe(
  receivedFields,
  v.check((job) => isSampleSmall(job), SAMPLE_LIMIT),
  v.check((job) => hasTargets(job), TARGETS),
  v.check((job) => isBatchSmall(job), BATCH_LIMIT),
  v.check(({ outputs, customCode }) => hasCustomTerms(outputs, customCode), CUSTOM_TERMS),
);
/** @internal Received job without the topology, as a saved model has it. */
export const receivedJobWithoutTopology: v.GenericSchema<unknown, Omit<Job, 'topology'>> = v.omit(
  receivedFields,
  ['topology'],
);
