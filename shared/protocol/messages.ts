import * as v from 'valibot';
import { receivedJobSchema, type Job } from '../model/job.ts';
import { codeHash, MAX_TRUSTED } from '../model/custom-code.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';
import type { SchemaFields } from '../util/schema-fields.ts';

/** Protocol version that this code implements. */
export const PROTOCOL_VERSION = 2;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const finite = v.pipe(v.number(), v.finite());
const text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));
/** Text that is shown to people, without control characters. */
const readable = (maxLength: number) => v.pipe(text(maxLength), v.transform(sanitizeForTerminal));

/** Number of updates that the weights have had; also the number of the step that uses them. */
export type Step = number & { readonly __step: unique symbol };
/** Id of one assignment of samples to a worker, unique in a run. */
export type ShardId = number & { readonly __shardId: unique symbol };
export type WorkerId = string & { readonly __worker: unique symbol };

// No transformation: it would cost time in each message.
const step = count as unknown as v.GenericSchema<unknown, Step>;
const shardId = count as unknown as v.GenericSchema<unknown, ShardId>;

export interface EngineInfo {
  /** 'tensorflow', 'wasm', 'webgl', 'webgpu' or the name of another implementation. */
  readonly backend: string;
  readonly version: string;
  readonly device: string;
  readonly threads: number;
}

const engine = v.object({
  backend: readable(40),
  version: readable(80),
  device: readable(200),
  threads: positive,
} satisfies SchemaFields<EngineInfo>);

/** Purposes of a shard. */
export const TASKS = ['train', 'evaluate'] as const;
export type Task = (typeof TASKS)[number];

// From a worker to the coordinator.

/** First message of a worker. */
export interface Hello {
  readonly type: 'hello';
  readonly protocol: number;
  readonly name: string;
  /** Name of the worker's machine, by which pages group workers. */
  readonly machine?: string | undefined;
  readonly token?: string | undefined;
  readonly engine: EngineInfo;
  readonly codecs: string[];
  /** Whether the worker accepts samples before their shard. */
  readonly prefetch?: boolean | undefined;
  /** Whether the worker accepts messages about its standby. */
  readonly standby?: boolean | undefined;
  /** Random text of the process, which identifies a worker that reconnects. */
  readonly instance?: string | undefined;
  /** Whether shards and updates may name a codec other than the welcome's. */
  readonly switchCodecs?: boolean | undefined;
  /** Hashes of custom code that the worker runs; the welcome then brings the code of a job that names one of them. */
  readonly trusts?: string[] | undefined;
}
const hello = v.object({
  type: v.literal('hello'),
  protocol: count,
  name: readable(100),
  machine: v.optional(readable(100)),
  token: v.optional(text(200)),
  engine,
  codecs: v.pipe(v.array(text(40)), v.minLength(1), v.maxLength(32)),
  prefetch: v.optional(v.boolean()),
  standby: v.optional(v.boolean()),
  instance: v.optional(text(40)),
  switchCodecs: v.optional(v.boolean()),
  trusts: v.optional(v.pipe(v.array(codeHash), v.maxLength(MAX_TRUSTED))),
} satisfies SchemaFields<Hello>);

/** First message of an observer. */
export interface Watch {
  readonly type: 'watch';
  readonly protocol: number;
  readonly token?: string | undefined;
}
const watch = v.object({
  type: v.literal('watch'),
  protocol: count,
  token: v.optional(text(200)),
} satisfies SchemaFields<Watch>);

/** Request of an observer for the current weights; with `atEnd`, for the run's final weights after its end. */
interface Snapshot {
  readonly type: 'snapshot';
  readonly atEnd?: boolean | undefined;
}
const snapshot = v.object({
  type: v.literal('snapshot'),
  atEnd: v.optional(v.boolean()),
} satisfies SchemaFields<Snapshot>);

/** Request of an observer for what pages show of the model and the data; once a connection. */
interface Inspect {
  readonly type: 'inspect';
}
const inspect = v.object({ type: v.literal('inspect') } satisfies SchemaFields<Inspect>);

/** The worker has built the job's model and accepts shards. */
export interface Ready {
  readonly type: 'ready';
  /** Hash of the results of the engine for fixed weights and samples; only in exact runs. */
  readonly fingerprint?: string | undefined;
  /** Number of samples that the worker keeps beside those whose bitmaps are the payload. */
  readonly keeps?: number | undefined;
}
const ready = v.object({
  type: v.literal('ready'),
  fingerprint: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/, '16 hexadecimal digits'))),
  keeps: v.optional(count),
} satisfies SchemaFields<Ready>);

/** Largest number of sums, so that a header stays below its limit. */
export const MAX_METRIC_SUMS = 1_024;
/** Sums over a shard's samples. */
export interface ShardResult {
  readonly samples: number;
  readonly lossSum: number;
  /** Sums of the job's metrics. */
  readonly metrics: number[];
  readonly computeMs: number;
}
const result = v.object({
  samples: positive,
  // NaN is accepted here, because the coordinator rejects it with a code of its own.
  lossSum: v.union([v.number(), v.nan()]),
  metrics: v.pipe(v.array(v.union([v.number(), v.nan()])), v.maxLength(MAX_METRIC_SUMS)),
  computeMs: v.pipe(finite, v.minValue(0)),
} satisfies SchemaFields<ShardResult>);

/** Codec of a payload, if it differs from the welcome's. */
const encoding = v.optional(text(40));

interface GradientFields {
  readonly type: 'gradient';
  readonly step: Step;
  readonly shard: ShardId;
  /** Codec of the payload, if it differs from the welcome's. */
  readonly encoding?: string | undefined;
}
/** The last bucket of a shard's gradient, with the result. */
interface LastGradientBucket extends GradientFields {
  readonly offset: 0;
  readonly result: ShardResult;
}
interface EarlierGradientBucket extends GradientFields {
  readonly offset: number;
  readonly result?: undefined;
}
/** A bucket of a shard's gradient. The bucket with offset 0 is the last and has the result. */
export type GradientMessage = LastGradientBucket | EarlierGradientBucket;
const gradientFields = { type: v.literal('gradient'), step, shard: shardId, encoding };
const gradient = v.variant('offset', [
  v.object({ ...gradientFields, offset: v.literal(0), result } satisfies SchemaFields<LastGradientBucket>),
  v.object({
    ...gradientFields,
    offset: positive,
    result: v.optional(v.undefined()),
  } satisfies SchemaFields<EarlierGradientBucket>),
]);

export interface EvaluationMessage {
  readonly type: 'evaluation';
  readonly step: Step;
  readonly shard: ShardId;
  readonly result: ShardResult;
}
const evaluation = v.object({
  type: v.literal('evaluation'),
  step,
  shard: shardId,
  result,
} satisfies SchemaFields<EvaluationMessage>);

interface Failed {
  readonly type: 'failed';
  readonly step: Step;
  readonly shard: ShardId;
  readonly reason: string;
}
const failed = v.object({
  type: v.literal('failed'),
  step,
  shard: shardId,
  reason: readable(2000),
} satisfies SchemaFields<Failed>);

/** The worker has lost samples that it kept, so the shard has to be sent with all of them. */
interface Missing {
  readonly type: 'missing';
  readonly step: Step;
  readonly shard: ShardId;
}
const missing = v.object({
  type: v.literal('missing'),
  step,
  shard: shardId,
} satisfies SchemaFields<Missing>);

interface Leaving {
  readonly type: 'leaving';
  readonly reason: string;
}
const leaving = v.object({
  type: v.literal('leaving'),
  reason: readable(200),
} satisfies SchemaFields<Leaving>);

interface Pong {
  readonly type: 'pong';
  readonly id: number;
}
const pong = v.object({ type: v.literal('pong'), id: count } satisfies SchemaFields<Pong>);

export type FromWorker =
  | Hello
  | Watch
  | Snapshot
  | Inspect
  | Ready
  | GradientMessage
  | EvaluationMessage
  | Failed
  | Missing
  | Leaving
  | Pong;
/** @internal */
export const fromWorkerSchema: v.GenericSchema<unknown, FromWorker> = v.variant('type', [
  hello,
  watch,
  snapshot,
  inspect,
  ready,
  gradient,
  evaluation,
  failed,
  missing,
  leaving,
  pong,
]);
/** Answers to a shard. */
export type ShardAnswer = GradientMessage | EvaluationMessage | Failed;

// From the coordinator to a worker.

const bucketOffsets = v.pipe(
  v.array(count),
  v.minLength(1),
  v.maxLength(64),
  v.check(([first]) => first === 0, 'from 0'),
  v.check((offsets) => offsets.every((offset, i) => i === 0 || offset > (offsets[i - 1] ?? 0)), 'ascending'),
);

export interface Welcome {
  readonly type: 'welcome';
  readonly protocol: number;
  readonly workerId: string;
  /** Codec of gradients. Weights are float32, unless they are sent as updates. */
  readonly codec: string;
  /** Codec of updates from one step's weights to the next. */
  readonly updateCodec?: string | undefined;
  /** False if weights are never sent as updates. */
  readonly updates?: boolean | undefined;
  readonly heartbeatMs: number;
  readonly maxFrameBytes: number;
  /** Offsets at which buckets of gradients may begin; [0] if gradients are not split. */
  readonly bucketOffsets: number[];
  readonly job: Job;
}
const welcome = v.object({
  type: v.literal('welcome'),
  protocol: count,
  workerId: text(40),
  codec: text(40),
  updateCodec: v.optional(text(40)),
  updates: v.optional(v.boolean()),
  heartbeatMs: positive,
  maxFrameBytes: positive,
  bucketOffsets,
  job: receivedJobSchema,
} satisfies SchemaFields<Welcome>);

/** A bucket of a step's weights, float32. */
export interface WeightsMessage {
  readonly type: 'weights';
  readonly step: Step;
  readonly offset: number;
}
const weights = v.object({
  type: v.literal('weights'),
  step,
  offset: count,
} satisfies SchemaFields<WeightsMessage>);

/** A bucket of the difference to the weights of the step before. */
export interface UpdateMessage {
  readonly type: 'update';
  readonly step: Step;
  readonly offset: number;
  readonly encoding?: string | undefined;
}
const update = v.object({
  type: v.literal('update'),
  step,
  offset: count,
  encoding,
} satisfies SchemaFields<UpdateMessage>);

/** Fields of samples that the worker keeps; see KeptSamples. */
interface KeptFields {
  /** Bitmap of the samples that are not in the payload, since the worker has them; empty for none. Without it, none is kept. */
  readonly kept?: Uint8Array<ArrayBuffer> | undefined;
  /** Checksum of the whole payload, if samples are not in it. */
  readonly checksum?: number | undefined;
}
const keptFields = {
  kept: v.optional(
    v.pipe(
      v.instance(Uint8Array),
      v.maxLength(1 << 20),
      v.transform((bytes) => new Uint8Array(bytes)),
    ),
  ),
  checksum: v.optional(count),
} satisfies SchemaFields<KeptFields>;

export interface ShardMessage extends KeptFields {
  readonly type: 'shard';
  readonly task: Task;
  readonly step: Step;
  readonly shard: ShardId;
  readonly samples: number;
  /** Requested codec of the gradient, if it differs from the welcome's. */
  readonly encoding?: string | undefined;
}
const shard = v.object({
  type: v.literal('shard'),
  task: v.picklist(TASKS),
  step,
  shard: shardId,
  samples: positive,
  encoding,
  ...keptFields,
} satisfies SchemaFields<ShardMessage>);

/** Samples of a later shard. */
export interface PrefetchMessage extends KeptFields {
  readonly type: 'prefetch';
  readonly step: Step;
  readonly samples: number;
}
const prefetch = v.object({
  type: v.literal('prefetch'),
  step,
  samples: positive,
  ...keptFields,
} satisfies SchemaFields<PrefetchMessage>);

interface Rejected {
  readonly type: 'rejected';
  readonly step: Step;
  readonly shard: ShardId;
  readonly code: number;
  readonly reason: string;
}
const rejected = v.object({
  type: v.literal('rejected'),
  step,
  shard: shardId,
  code: count,
  reason: readable(500),
} satisfies SchemaFields<Rejected>);

/** The worker was put on standby because steps are faster without it, or takes part again. */
interface Standby {
  readonly type: 'standby';
  readonly standby: boolean;
  readonly reason: string;
}
const standby = v.object({
  type: v.literal('standby'),
  standby: v.boolean(),
  reason: readable(500),
} satisfies SchemaFields<Standby>);

interface Ping {
  readonly type: 'ping';
  readonly id: number;
}
const ping = v.object({ type: v.literal('ping'), id: count } satisfies SchemaFields<Ping>);

interface Finished {
  readonly type: 'finished';
  readonly reason: string;
}
const finished = v.object({
  type: v.literal('finished'),
  reason: readable(500),
} satisfies SchemaFields<Finished>);

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
export interface CurvePoint {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly metrics: Record<string, number>;
}
const curvePoint = v.object({
  step: count,
  steps: positive,
  loss: v.number(),
  metrics,
} satisfies SchemaFields<CurvePoint>);

/** Fields of every line of history.jsonl. */
interface RecordFields {
  readonly epoch: number;
  readonly loss: number;
  readonly val_loss: number;
  readonly seconds: number;
  readonly samples_per_second: number;
  readonly workers: number;
  readonly data: string;
  /** Codecs of gradients and weights: 'int4/int8'. */
  readonly codec?: string | undefined;
}
const recordFields = {
  epoch: positive,
  loss: v.number(),
  val_loss: v.number(),
  seconds: notNegative,
  samples_per_second: notNegative,
  workers: count,
  data: text(200),
  codec: v.optional(text(100)),
} satisfies SchemaFields<RecordFields>;
/** A line of history.jsonl: these fields and, by name, the metrics: `accuracy` of the training, `val_accuracy` of the test. */
export interface EpochRecord extends RecordFields {
  readonly accuracy?: number;
  readonly [score: `val_${string}`]: number;
  readonly [metric: string]: unknown;
}
/** @internal */
export const epochRecord: v.GenericSchema<unknown, EpochRecord> = v.pipe(
  v.objectWithRest(recordFields, metricValue),
  v.check((record) => areFew(record), 'fewer metrics'),
  v.transform((record): EpochRecord => record),
);
/** Value of a metric in a record; null if it has none of this name. */
export function metricOf(record: EpochRecord | undefined, name: string): number | null {
  const value = record?.[name];
  return typeof value === 'number' ? value : null;
}
export interface WorkerRow {
  readonly id: string;
  readonly name: string;
  /** Name of its machine, if it gave one. Never its address. */
  readonly machine?: string | undefined;
  readonly backend: string;
  readonly device: string;
  /** Share of the last finished step's batch. */
  readonly share: number;
  /** Number of samples in the run so far. */
  readonly samples: number;
  /** Recent training throughput, waiting included. The sum over all workers is the run's throughput. */
  readonly samplesPerSecond: number;
  /** Recent time for a training shard: reported by the worker, and measured from assignment to answer. */
  readonly computeMs: number;
  readonly turnaroundMs: number;
  /** Round-trip time of a ping; null before the first pong. */
  readonly rttMs: number | null;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Whether the worker is on standby, because steps are faster without it. */
  readonly standby?: boolean | undefined;
  /** Codecs of its gradients and weights: 'int4/int8'. */
  readonly codecs?: string | undefined;
}
const workerRow = v.object({
  id: text(40),
  name: readable(100),
  machine: v.optional(readable(100)),
  backend: readable(40),
  device: readable(200),
  share,
  samples: count,
  samplesPerSecond: notNegative,
  computeMs: notNegative,
  turnaroundMs: notNegative,
  rttMs: v.nullable(notNegative),
  bytesUp: count,
  bytesDown: count,
  standby: v.optional(v.boolean()),
  codecs: v.optional(text(100)),
} satisfies SchemaFields<WorkerRow>);

/** Worker that recent steps waited for, and whether its computation or its link was slow. */
interface Slowest {
  readonly id: string;
  readonly cause: 'compute' | 'link';
}
const slowest = v.object({
  id: text(40),
  cause: v.picklist(['compute', 'link']),
} satisfies SchemaFields<Slowest>);

/** One shard of a step, in milliseconds since the step's first assignment. */
export interface TimelineShard {
  /** Worker that computed it. */
  readonly id: string;
  readonly samples: number;
  /** Assignment of the shard. */
  readonly startMs: number;
  /** Computing time that the worker reported. 0 without an answer. */
  readonly computeMs: number;
  /** Between the first and the last byte of the answer. */
  readonly receiveMs: number;
  /** Arrival of the answer; null if the step did not wait for it. */
  readonly endMs: number | null;
}
const timelineShard = v.object({
  id: text(40),
  samples: positive,
  startMs: notNegative,
  computeMs: notNegative,
  receiveMs: notNegative,
  endMs: v.nullable(notNegative),
} satisfies SchemaFields<TimelineShard>);

/** Largest number of shards in a timeline: the ones that were answered last. */
export const MAX_TIMELINE_SHARDS = 64;

/** A finished training step, worker by worker. */
export interface StepTimeline {
  /** Number of the step in the whole run, from 1. */
  readonly step: number;
  /** Time from the first assignment until the weights were updated. */
  readonly durationMs: number;
  /** Those that were answered last, the last one first. */
  readonly shards: TimelineShard[];
  /** Number of further shards, answered before. */
  readonly omitted: number;
}
const timeline = v.object({
  step: positive,
  durationMs: notNegative,
  shards: v.pipe(v.array(timelineShard), v.maxLength(MAX_TIMELINE_SHARDS)),
  omitted: count,
} satisfies SchemaFields<StepTimeline>);

export interface RunMessage {
  readonly type: 'run';
  readonly protocol: number;
  readonly job: Job;
  /** Number of steps in an epoch. */
  readonly steps: number;
  readonly curve: CurvePoint[];
  readonly epochs: EpochRecord[];
  /** Addresses of the page for other devices. Sent only to pages on the coordinator's machine, whose own address is local. */
  readonly addresses?: string[] | undefined;
}
const run = v.object({
  type: v.literal('run'),
  protocol: count,
  job: receivedJobSchema,
  steps: positive,
  curve: v.array(curvePoint),
  epochs: v.array(epochRecord),
  addresses: v.optional(v.pipe(v.array(text(300)), v.maxLength(64))),
} satisfies SchemaFields<RunMessage>);

export interface Notice {
  readonly what: 'refused' | 'banned' | 'standby';
  readonly who?: string | undefined;
  readonly reason: string;
  /** Number of occurrences of this notice. */
  readonly times: number;
}
const notice = v.object({
  what: v.picklist(['refused', 'banned', 'standby']),
  who: v.optional(readable(100)),
  reason: readable(500),
  times: positive,
} satisfies SchemaFields<Notice>);

export interface ProgressMessage {
  readonly type: 'progress';
  readonly epoch: number;
  /** Number of completed steps of this epoch. */
  readonly step: number;
  readonly loss: number | null;
  /** Empty before the first step. */
  readonly metrics: Record<string, number>;
  /** Mean over the epoch so far, like loss and metrics. */
  readonly samplesPerSecond: number;
  readonly etaSeconds: number | null;
  /** New points since the last message. */
  readonly curve: CurvePoint[];
  /** Left out by most messages about many workers; the last rows still hold. */
  readonly workers?: WorkerRow[] | undefined;
  /** Number of workers, if there are more than rows. */
  readonly workerCount?: number | undefined;
  readonly slowest: Slowest | null;
  /** A recent step, in messages that have `workers`. */
  readonly timeline?: StepTimeline | undefined;
  /** Sentence about the bottleneck of a step and how to remove it. */
  readonly advice?: string | undefined;
  /** Workers that were refused, banned or put on standby. */
  readonly notices?: Notice[] | undefined;
}
const progress = v.object({
  type: v.literal('progress'),
  epoch: count,
  step: count,
  loss: v.nullable(v.number()),
  metrics,
  samplesPerSecond: notNegative,
  etaSeconds: v.nullable(notNegative),
  curve: v.array(curvePoint),
  workers: v.optional(v.array(workerRow)),
  workerCount: v.optional(count),
  slowest: v.nullable(slowest),
  timeline: v.optional(timeline),
  advice: v.optional(readable(1_000)),
  notices: v.optional(v.array(notice)),
} satisfies SchemaFields<ProgressMessage>);

/** Progress that has the rows of workers, of this message or of an earlier one. */
export interface ProgressWithRows extends ProgressMessage {
  readonly workers: WorkerRow[];
}

interface EpochMessage {
  readonly type: 'epoch';
  readonly record: EpochRecord;
}
const epochDone = v.object({
  type: v.literal('epoch'),
  record: epochRecord,
} satisfies SchemaFields<EpochMessage>);

/** Largest number of test samples that pages show. */
export const MAX_DETAIL_SAMPLES = 128;

/** Test samples in the payload, as in a shard's, and names. */
export interface DetailsMessage {
  readonly type: 'details';
  /** Number of test samples in the payload. */
  readonly samples: number;
  /** Names of the model's tensors, in the order of the job's layout. */
  readonly weightNames?: string[] | undefined;
  /** Names of the classes of the first target. */
  readonly classNames?: string[] | undefined;
}
const names = v.optional(v.pipe(v.array(readable(200)), v.maxLength(4_096)));
const details = v.object({
  type: v.literal('details'),
  samples: v.pipe(count, v.maxValue(MAX_DETAIL_SAMPLES)),
  weightNames: names,
  classNames: names,
} satisfies SchemaFields<DetailsMessage>);

export type FromCoordinator =
  | Welcome
  | WeightsMessage
  | UpdateMessage
  | PrefetchMessage
  | ShardMessage
  | Rejected
  | Standby
  | Ping
  | Finished
  | RunMessage
  | ProgressMessage
  | EpochMessage
  | DetailsMessage;
/** @internal */
export const fromCoordinatorSchema: v.GenericSchema<unknown, FromCoordinator> = v.variant('type', [
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
  details,
]);
