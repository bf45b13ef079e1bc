import * as v from 'valibot';
import { receivedJobSchema } from '../model/job.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';

/** Protocol version that this code implements. */
export const PROTOCOL_VERSION = 2;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const finite = v.pipe(v.number(), v.finite());
const text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));
/** Text that is shown to people, without control characters. */
const readable = (maxLength: number) => v.pipe(text(maxLength), v.transform(sanitizeForTerminal));
const step = v.pipe(count, v.brand('Step'));
const shardId = v.pipe(count, v.brand('ShardId'));

/** Number of updates that the weights have had; also the number of the step that uses them. */
export type Step = v.InferOutput<typeof step>;
/** Id of one assignment of samples to a worker, unique in a run. */
export type ShardId = v.InferOutput<typeof shardId>;
export type WorkerId = string & { readonly __worker: unique symbol };

const engine = v.object({
  /** 'tensorflow', 'wasm', 'webgl', 'webgpu' or the name of another implementation. */
  backend: readable(40),
  version: readable(80),
  device: readable(200),
  threads: positive,
});
export type EngineInfo = v.InferOutput<typeof engine>;

/** Purposes of a shard. */
export const TASKS = ['train', 'evaluate'] as const;
export type Task = (typeof TASKS)[number];

// From a worker to the coordinator.

const hello = v.object({
  type: v.literal('hello'),
  protocol: count,
  name: readable(100),
  token: v.optional(text(200)),
  engine,
  codecs: v.pipe(v.array(text(40)), v.minLength(1), v.maxLength(32)),
  /** Whether the worker accepts samples before their shard. */
  prefetch: v.optional(v.boolean()),
  /** Whether the worker accepts messages about its standby. */
  standby: v.optional(v.boolean()),
  /** Random text of the process, which identifies a worker that reconnects. */
  instance: v.optional(text(40)),
  /** Whether shards and updates may name a codec other than the welcome's. */
  switchCodecs: v.optional(v.boolean()),
});
/** First message of an observer. */
const watch = v.object({ type: v.literal('watch'), protocol: count, token: v.optional(text(200)) });
/** Request of an observer for the current weights; with `atEnd`, for the run's final weights after its end. */
const snapshot = v.object({ type: v.literal('snapshot'), atEnd: v.optional(v.boolean()) });
/** The worker has built the job's model and accepts shards. */
const ready = v.object({
  type: v.literal('ready'),
  /** Hash of the results of the engine for fixed weights and samples; only in exact runs. */
  fingerprint: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/, '16 hexadecimal digits'))),
  /** Number of samples that the worker keeps beside those whose bitmaps are the payload. */
  keeps: v.optional(count),
});
/** Largest number of sums, so that a header stays below its limit. */
export const MAX_METRIC_SUMS = 1_024;
/** Sums over a shard's samples. */
const result = v.object({
  samples: positive,
  // NaN is accepted here, because the coordinator rejects it with a code of its own.
  lossSum: v.union([v.number(), v.nan()]),
  /** Sums of the job's metrics. */
  metrics: v.pipe(v.array(v.union([v.number(), v.nan()])), v.maxLength(MAX_METRIC_SUMS)),
  computeMs: v.pipe(finite, v.minValue(0)),
});
/** Codec of a payload, if it differs from the welcome's. */
const encoding = v.optional(text(40));
const gradientFields = { type: v.literal('gradient'), step, shard: shardId, encoding };
/** A bucket of a shard's gradient. The bucket with offset 0 is the last and has the result. */
const gradient = v.variant('offset', [
  v.object({ ...gradientFields, offset: v.literal(0), result }),
  v.object({ ...gradientFields, offset: positive, result: v.optional(v.undefined()) }),
]);
const evaluation = v.object({ type: v.literal('evaluation'), step, shard: shardId, result });
const failed = v.object({ type: v.literal('failed'), step, shard: shardId, reason: readable(2000) });
/** The worker has lost samples that it kept, so the shard has to be sent with all of them. */
const missing = v.object({ type: v.literal('missing'), step, shard: shardId });
const leaving = v.object({ type: v.literal('leaving'), reason: readable(200) });
const pong = v.object({ type: v.literal('pong'), id: count });

export const fromWorkerSchema = v.variant('type', [
  hello,
  watch,
  snapshot,
  ready,
  gradient,
  evaluation,
  failed,
  missing,
  leaving,
  pong,
]);
export type FromWorker = v.InferOutput<typeof fromWorkerSchema>;
export type Ready = v.InferOutput<typeof ready>;
export type Hello = v.InferOutput<typeof hello>;
export type Watch = v.InferOutput<typeof watch>;
export type ShardResult = v.InferOutput<typeof result>;
export type GradientMessage = v.InferOutput<typeof gradient>;
export type EvaluationMessage = v.InferOutput<typeof evaluation>;
/** Answers to a shard. */
export type ShardAnswer = GradientMessage | EvaluationMessage | v.InferOutput<typeof failed>;

// From the coordinator to a worker.

const bucketOffsets = v.pipe(
  v.array(count),
  v.minLength(1),
  v.maxLength(64),
  v.check(([first]) => first === 0, 'from 0'),
  v.check((offsets) => offsets.every((offset, i) => i === 0 || offset > (offsets[i - 1] ?? 0)), 'ascending'),
);

const welcome = v.object({
  type: v.literal('welcome'),
  protocol: count,
  workerId: text(40),
  /** Codec of gradients. Weights are float32, unless they are sent as updates. */
  codec: text(40),
  /** Codec of updates from one step's weights to the next. */
  updateCodec: v.optional(text(40)),
  /** False if weights are never sent as updates. */
  updates: v.optional(v.boolean()),
  heartbeatMs: positive,
  maxFrameBytes: positive,
  /** Offsets at which buckets of gradients may begin; [0] if gradients are not split. */
  bucketOffsets,
  job: receivedJobSchema,
});
/** A bucket of a step's weights, float32. */
const weights = v.object({ type: v.literal('weights'), step, offset: count });
/** A bucket of the difference to the weights of the step before. */
const update = v.object({ type: v.literal('update'), step, offset: count, encoding });
/** Fields of samples that the worker keeps; see KeptSamples. */
const keptFields = {
  /** Bitmap of the samples that are not in the payload, since the worker has them; empty for none. Without it, none is kept. */
  kept: v.optional(
    v.pipe(
      v.instance(Uint8Array),
      v.maxLength(1 << 20),
      v.transform((bytes) => new Uint8Array(bytes)),
    ),
  ),
  /** Checksum of the whole payload, if samples are not in it. */
  checksum: v.optional(count),
};
const shard = v.object({
  type: v.literal('shard'),
  task: v.picklist(TASKS),
  step,
  shard: shardId,
  samples: positive,
  /** Requested codec of the gradient, if it differs from the welcome's. */
  encoding,
  ...keptFields,
});
const prefetch = v.object({ type: v.literal('prefetch'), step, samples: positive, ...keptFields });
const rejected = v.object({
  type: v.literal('rejected'),
  step,
  shard: shardId,
  code: count,
  reason: readable(500),
});
/** The worker was put on standby because steps are faster without it, or takes part again. */
const standby = v.object({ type: v.literal('standby'), standby: v.boolean(), reason: readable(500) });
const ping = v.object({ type: v.literal('ping'), id: count });
const finished = v.object({ type: v.literal('finished'), reason: readable(500) });

// From the coordinator to an observer.

/** Number of metrics in a message. */
const MAX_METRICS = 256;
const areFew = (values: object): boolean => Object.keys(values).length <= MAX_METRICS;
/** Value of a metric; NaN where it is not defined. */
const metricValue = v.union([v.number(), v.nan()]);
/** Values of metrics by name. */
const metrics = v.pipe(
  v.record(text(400), metricValue),
  v.check((values) => areFew(values), 'fewer metrics'),
);

const share = v.pipe(finite, v.minValue(0), v.maxValue(1));
const notNegative = v.pipe(finite, v.minValue(0));
/** Means over the samples of `steps` consecutive steps up to `step`. */
const curvePoint = v.object({ step: count, steps: positive, loss: v.number(), metrics });
export type CurvePoint = v.InferOutput<typeof curvePoint>;
const recordFields = v.object({
  epoch: positive,
  loss: v.number(),
  val_loss: v.number(),
  seconds: notNegative,
  samples_per_second: notNegative,
  workers: count,
  data: text(200),
  /** Codecs of gradients and weights: 'int4/int8'. */
  codec: v.optional(text(100)),
});
/** A line of history.jsonl: these fields and, by name, the metrics: `accuracy` of the training, `val_accuracy` of the test. */
export type EpochRecord = v.InferOutput<typeof recordFields> & {
  readonly accuracy?: number;
  readonly val_accuracy?: number;
  readonly [metric: string]: unknown;
};
export const epochRecord = v.pipe(
  v.objectWithRest(recordFields.entries, metricValue),
  v.check((record) => areFew(record), 'fewer metrics'),
  v.transform((record): EpochRecord => record),
);
/** Value of a metric in a record; null if it has none of this name. */
export function metricOf(record: EpochRecord | undefined, name: string): number | null {
  const value = record?.[name];
  return typeof value === 'number' ? value : null;
}
const workerRow = v.object({
  id: text(40),
  name: readable(100),
  backend: readable(40),
  device: readable(200),
  /** Share of the last finished step's batch. */
  share,
  /** Number of samples in the run so far. */
  samples: count,
  /** Recent training throughput, waiting included. The sum over all workers is the run's throughput. */
  samplesPerSecond: notNegative,
  /** Recent time for a training shard: reported by the worker, and measured from assignment to answer. */
  computeMs: notNegative,
  turnaroundMs: notNegative,
  /** Round-trip time of a ping; null before the first pong. */
  rttMs: v.nullable(notNegative),
  bytesUp: count,
  bytesDown: count,
  /** Whether the worker is on standby, because steps are faster without it. */
  standby: v.optional(v.boolean()),
  /** Codecs of its gradients and weights: 'int4/int8'. */
  codecs: v.optional(text(100)),
});
export type WorkerRow = v.InferOutput<typeof workerRow>;
/** Worker that recent steps waited for, and whether its computation or its link was slow. */
const slowest = v.object({ id: text(40), cause: v.picklist(['compute', 'link']) });

const run = v.object({
  type: v.literal('run'),
  protocol: count,
  job: receivedJobSchema,
  /** Number of steps in an epoch. */
  steps: positive,
  curve: v.array(curvePoint),
  epochs: v.array(epochRecord),
  /** Addresses of the page for other devices. Sent only to pages on the coordinator's machine, whose own address is local. */
  addresses: v.optional(v.pipe(v.array(text(300)), v.maxLength(64))),
});
const notice = v.object({
  what: v.picklist(['refused', 'banned', 'standby']),
  who: v.optional(readable(100)),
  reason: readable(500),
  /** Number of occurrences of this notice. */
  times: positive,
});
export type Notice = v.InferOutput<typeof notice>;
const progress = v.object({
  type: v.literal('progress'),
  epoch: count,
  /** Number of completed steps of this epoch. */
  step: count,
  loss: v.nullable(v.number()),
  /** Empty before the first step. */
  metrics,
  /** Mean over the epoch so far, like loss and metrics. */
  samplesPerSecond: notNegative,
  etaSeconds: v.nullable(notNegative),
  /** New points since the last message. */
  curve: v.array(curvePoint),
  workers: v.array(workerRow),
  slowest: v.nullable(slowest),
  /** Sentence about the bottleneck of a step and how to remove it. */
  advice: v.optional(readable(1_000)),
  /** Workers that were refused, banned or put on standby. */
  notices: v.optional(v.array(notice)),
});
const epochDone = v.object({ type: v.literal('epoch'), record: epochRecord });
export type RunMessage = v.InferOutput<typeof run>;
export type ProgressMessage = v.InferOutput<typeof progress>;

export const fromCoordinatorSchema = v.variant('type', [
  welcome,
  weights,
  update,
  prefetch,
  shard,
  rejected,
  standby,
  ping,
  finished,
  run,
  progress,
  epochDone,
]);
export type FromCoordinator = v.InferOutput<typeof fromCoordinatorSchema>;
export type Welcome = v.InferOutput<typeof welcome>;
export type WeightsMessage = v.InferOutput<typeof weights>;
export type UpdateMessage = v.InferOutput<typeof update>;
export type ShardMessage = v.InferOutput<typeof shard>;
export type PrefetchMessage = v.InferOutput<typeof prefetch>;
