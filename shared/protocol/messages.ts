import * as v from 'valibot';
import { jobSchema } from '../model/job.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';

/** The version of PROTOCOL.md that this code speaks. */
export const PROTOCOL_VERSION = 2;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const finite = v.pipe(v.number(), v.finite());
const text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));
/** A text that people will read. */
const readable = (maxLength: number) => v.pipe(text(maxLength), v.transform(sanitizeForTerminal));
const step = v.pipe(count, v.brand('Step'));
const shardId = v.pipe(count, v.brand('ShardId'));

/** Number of updates that the weights have had; also the number of the step that they are used in. */
export type Step = v.InferOutput<typeof step>;
/** One assignment of samples to a worker; never used twice in a run. */
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
  /** Whether samples may be sent ahead of their shard. */
  prefetch: v.optional(v.boolean()),
  /** Whether the worker wants to be told that it is on standby. */
  standby: v.optional(v.boolean()),
  /** Random text of each process, by which a worker that reconnects is recognized. */
  instance: v.optional(text(40)),
  /** Whether shards may ask for another codec than the welcome's, and updates may come in one. */
  switchCodecs: v.optional(v.boolean()),
});
/** First message of an observer. */
const watch = v.object({ type: v.literal('watch'), protocol: count, token: v.optional(text(200)) });
/** An observer asks for the current weights; with `atEnd`, for those that the run ends with, when it does. */
const snapshot = v.object({ type: v.literal('snapshot'), atEnd: v.optional(v.boolean()) });
/** The worker has built the job's model and takes shards. */
const ready = v.object({
  type: v.literal('ready'),
  /** Digest of what the engine computes from fixed weights and samples; in exact runs. */
  fingerprint: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/, '16 hexadecimal digits'))),
});
/** Sums over a shard's samples. */
const result = v.object({
  samples: positive,
  // NaN is let through here, to be refused with a code of its own.
  lossSum: v.union([v.number(), v.nan()]),
  correct: count,
  computeMs: v.pipe(finite, v.minValue(0)),
});
/** Codec of a payload, if it is not the welcome's. */
const encoding = v.optional(text(40));
/** A bucket of a shard's gradient. The one with offset 0 is the last and has the result. */
const gradient = v.pipe(
  v.object({
    type: v.literal('gradient'),
    step,
    shard: shardId,
    offset: count,
    encoding,
    result: v.optional(result),
  }),
  v.check(
    ({ offset, result: sums }) => (offset === 0) === (sums !== undefined),
    'result with offset 0, and only there',
  ),
);
const evaluation = v.object({ type: v.literal('evaluation'), step, shard: shardId, result });
const failed = v.object({ type: v.literal('failed'), step, shard: shardId, reason: readable(2000) });
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
  leaving,
  pong,
]);
export type FromWorker = v.InferOutput<typeof fromWorkerSchema>;
export type Hello = v.InferOutput<typeof hello>;
export type Watch = v.InferOutput<typeof watch>;
export type ShardResult = v.InferOutput<typeof result>;
export type GradientMessage = v.InferOutput<typeof gradient>;
export type EvaluationMessage = v.InferOutput<typeof evaluation>;
/** Messages that answer a shard. */
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
  /** Codec of gradients. Weights come in float32 unless updates are sent. */
  codec: text(40),
  /** Codec of the updates that lead from one step's weights to the next. */
  updateCodec: v.optional(text(40)),
  /** False: weights never come as updates. */
  updates: v.optional(v.boolean()),
  heartbeatMs: positive,
  maxFrameBytes: positive,
  /** Offsets where buckets of gradients may begin; [0] if gradients come whole. */
  bucketOffsets,
  job: jobSchema,
});
/** A bucket of a step's weights, float32. */
const weights = v.object({ type: v.literal('weights'), step, offset: count });
/** A bucket of what is added to the weights of the step before. */
const update = v.object({ type: v.literal('update'), step, offset: count, encoding });
const shard = v.object({
  type: v.literal('shard'),
  task: v.picklist(TASKS),
  step,
  shard: shardId,
  samples: positive,
  /** Codec that the gradient is asked for in, if it is not the welcome's. */
  encoding,
});
const prefetch = v.object({ type: v.literal('prefetch'), step, samples: positive });
const rejected = v.object({
  type: v.literal('rejected'),
  step,
  shard: shardId,
  code: count,
  reason: readable(500),
});
/** Steps are faster without this worker for now, or with it again. */
const standby = v.object({ type: v.literal('standby'), standby: v.boolean(), reason: readable(500) });
const ping = v.object({ type: v.literal('ping'), id: count });
const finished = v.object({ type: v.literal('finished'), reason: readable(500) });

// From the coordinator to an observer.

const share = v.pipe(finite, v.minValue(0), v.maxValue(1));
const notNegative = v.pipe(finite, v.minValue(0));
/** Means over the samples of `steps` steps, the last of which is `step`. */
const curvePoint = v.object({ step: count, steps: positive, loss: v.number(), accuracy: share });
export type CurvePoint = v.InferOutput<typeof curvePoint>;
/** A line of history.jsonl. */
export const epochRecord = v.object({
  epoch: positive,
  loss: v.number(),
  accuracy: share,
  val_loss: v.number(),
  val_accuracy: share,
  seconds: notNegative,
  samples_per_second: notNegative,
  workers: count,
  data: text(200),
  /** How gradients and weights travelled: 'int4/int8', up before down. */
  codec: v.optional(text(100)),
});
export type EpochRecord = v.InferOutput<typeof epochRecord>;
const workerRow = v.object({
  id: text(40),
  name: readable(100),
  backend: readable(40),
  device: readable(200),
  /** Share of the last finished step's batch. */
  share,
  /** Contributed to the run. */
  samples: count,
  /** Training lately, waiting included: those of all workers add up to the run's. */
  samplesPerSecond: notNegative,
  /** Lately, a training shard: what the worker says that it computed, and from its giving to its answer. */
  computeMs: notNegative,
  turnaroundMs: notNegative,
  /** There and back for a ping; null before the first. */
  rttMs: v.nullable(notNegative),
  bytesUp: count,
  bytesDown: count,
  /** On standby: steps are faster without this worker. */
  standby: v.optional(v.boolean()),
  /** How its gradients and weights travel: 'int4/int8', up before down. */
  codecs: v.optional(text(100)),
});
export type WorkerRow = v.InferOutput<typeof workerRow>;
/** Worker that the last steps have waited for, and whether for its computation or its link. */
const slowest = v.object({ id: text(40), cause: v.picklist(['compute', 'link']) });

const run = v.object({
  type: v.literal('run'),
  protocol: count,
  job: jobSchema,
  /** In an epoch. */
  steps: positive,
  curve: v.array(curvePoint),
  epochs: v.array(epochRecord),
  /** Addresses of the page for other devices; sent to pages on the coordinator's own machine, whose address leads nowhere else. */
  addresses: v.optional(v.pipe(v.array(text(300)), v.maxLength(64))),
});
const notice = v.object({
  what: v.picklist(['refused', 'banned', 'standby']),
  who: v.optional(readable(100)),
  reason: readable(500),
  /** How often just this has happened. */
  times: positive,
});
export type Notice = v.InferOutput<typeof notice>;
const progress = v.object({
  type: v.literal('progress'),
  epoch: count,
  /** Done in this epoch. */
  step: count,
  loss: v.nullable(v.number()),
  accuracy: v.nullable(share),
  /** Mean over the epoch so far, as loss and accuracy are. */
  samplesPerSecond: notNegative,
  etaSeconds: v.nullable(notNegative),
  /** New since the last message. */
  curve: v.array(curvePoint),
  workers: v.array(workerRow),
  slowest: v.nullable(slowest),
  /** Sentence about what limits a step and what would help. */
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
