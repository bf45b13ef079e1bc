import * as v from 'valibot';
import { optimizerSchema } from './optimizer-settings.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const finite = v.pipe(v.number(), v.finite());
const uint32 = v.pipe(count, v.maxValue(2 ** 32 - 1));

/** Tensor of the model, in the order of the flat vector. */
const layoutEntry = v.object({
  shape: v.array(count),
  /** false for statistics such as a batch normalization's moving mean, which no optimizer changes. */
  trainable: v.boolean(),
});

/**
 * Training job: everything that a worker must know besides the weights. The welcome message contains it, so that workers need no
 * change for another model.
 */
export const jobSchema = v.object({
  /** Keras topology as tfjs-layers writes it: { class_name, config }. */
  topology: v.record(v.string(), v.unknown()),
  layout: v.pipe(v.array(layoutEntry), v.minLength(1)),
  loss: v.literal('categoricalCrossentropy'),
  optimizer: optimizerSchema,
  batchSize: positive,
  epochs: count,
  seed: uint32,
  /** Samples of a micro-shard. If set, workers split shards into micro-shards and sum them along the tree of PairwiseSum. */
  microShard: v.optional(v.pipe(positive, v.maxValue(65_536))),
  data: v.object({
    name: v.pipe(v.string(), v.maxLength(200), v.transform(sanitizeForTerminal)),
    /** Shape of one sample, [28, 28, 1] for MNIST. */
    sampleShape: v.pipe(v.array(positive), v.minLength(1), v.maxLength(4)),
    classes: positive,
    /** Factor that converts bytes to the model's input: 1 / 255. */
    scale: finite,
    trainSamples: positive,
    testSamples: positive,
  }),
});
export type Job = v.InferOutput<typeof jobSchema>;
/**
 * Job as a worker reads it. The coordinator alone applies the optimizer, so a worker accepts any that has a name, also one that
 * it does not know. No code of a worker reads another field of it, which is why the type is that of a known one.
 */
export const receivedJobSchema = v.object({
  ...jobSchema.entries,
  optimizer: v.looseObject({ name: v.pipe(v.string(), v.maxLength(40)) }),
}) as unknown as typeof jobSchema;
export type Topology = Job['topology'];
export type LayoutEntry = Job['layout'][number];
