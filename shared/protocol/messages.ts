import * as v from 'valibot';
import { jobSchema } from '../model/job.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';

/** The version of PROTOCOL.md that this code speaks. */
export const PROTOCOL_VERSION = 1;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const finite = v.pipe(v.number(), v.finite());
const text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));
/** A text that people will read. */
const readable = (maxLength: number) => v.pipe(text(maxLength), v.transform(sanitizeForTerminal));
const step = v.pipe(count, v.brand('Step'));
const shardId = v.pipe(count, v.brand('ShardId'));

/** The number of updates that the weights have had; also the number of the step that they are used in. */
export type Step = v.InferOutput<typeof step>;
/** Names one handing-out of samples; never used twice in a run. */
export type ShardId = v.InferOutput<typeof shardId>;
export type WorkerId = string & { readonly __worker: unique symbol };

const engine = v.object({
  /** 'tensorflow', 'wasm', 'webgl', 'webgpu' or whatever another implementation calls itself. */
  backend: readable(40),
  version: readable(80),
  device: readable(200),
  threads: positive,
});
export type EngineInfo = v.InferOutput<typeof engine>;

/** What a shard is for. */
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
  /** Whether weights may come in pieces. */
  tails: v.optional(v.boolean()),
  /** Whether it wants to hear that it is kept in reserve. */
  reserve: v.optional(v.boolean()),
  /** Chosen at random by each process: a worker that comes back is known by it. */
  instance: v.optional(text(40)),
  /** Whether shards may ask for another codec than the welcome's, and updates come in one. */
  recode: v.optional(v.boolean()),
});
/** The first message of somebody who only wants to see how the run goes. */
const watch = v.object({ type: v.literal('watch'), protocol: count, token: v.optional(text(200)) });
/** An observer wants the weights of now; with `atEnd`, those that the run ends with, when it does. */
const snapshot = v.object({ type: v.literal('snapshot'), atEnd: v.optional(v.boolean()) });
/** The job's model is built: shards are welcome. */
const ready = v.object({
  type: v.literal('ready'),
  /** What its engine makes of fixed weights and samples, where bits matter. */
  knownAnswer: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/, '16 hexadecimal digits'))),
});
/** What every answer to a shard says: sums over the shard's samples. */
const answer = {
  step,
  shard: shardId,
  samples: positive,
  // NaN is let through here, to be refused with a code of its own.
  lossSum: v.union([v.number(), v.nan()]),
  correct: count,
  computeMs: v.pipe(finite, v.minValue(0)),
};
/** The codec of a payload, where it is not the welcome's. */
const encoding = v.optional(text(40));
/** The end of a gradient, ahead of the answer; or one of the pieces of that. */
const gradientTail = v.object({
  type: v.literal('gradientTail'),
  step,
  shard: shardId,
  piece: v.optional(count),
  encoding,
});
/** `head`: the payload is what was not in the shard's tail. */
const gradient = v.object({
  type: v.literal('gradient'),
  ...answer,
  head: v.optional(v.boolean()),
  encoding,
});
const evaluation = v.object({ type: v.literal('evaluation'), ...answer });
const failed = v.object({ type: v.literal('failed'), step, shard: shardId, reason: readable(2000) });
const leaving = v.object({ type: v.literal('leaving'), reason: readable(200) });
const pong = v.object({ type: v.literal('pong'), id: count });

export const fromWorkerSchema = v.variant('type', [
  hello,
  watch,
  snapshot,
  ready,
  gradientTail,
  gradient,
  evaluation,
  failed,
  leaving,
  pong,
]);
export type FromWorker = v.InferOutput<typeof fromWorkerSchema>;
export type Hello = v.InferOutput<typeof hello>;
export type Watch = v.InferOutput<typeof watch>;
export type GradientTail = v.InferOutput<typeof gradientTail>;
export type GradientAnswer = v.InferOutput<typeof gradient>;
export type EvaluationAnswer = v.InferOutput<typeof evaluation>;
export type ShardAnswer = GradientAnswer | EvaluationAnswer;

// From the coordinator to a worker.

const tailCuts = v.pipe(
  v.array(positive),
  v.minLength(1),
  v.maxLength(64),
  v.check((cuts) => cuts.every((cut, i) => cut > (cuts[i - 1] ?? 0)), 'not ascending'),
);

const welcome = v.object({
  type: v.literal('welcome'),
  protocol: count,
  workerId: text(40),
  /** Of gradients. Weights travel whole, in float32, unless updates are sent. */
  codec: text(40),
  /** Of the updates that bring the weights from one step to the next. */
  updateCodec: v.optional(text(40)),
  /** False: weights never come as updates. */
  updates: v.optional(v.boolean()),
  heartbeatMs: positive,
  maxFrameBytes: positive,
  /** Where the pieces of the tails of weights and gradients start in the flat vector; the tail itself with the first. */
  tailCuts: v.optional(tailCuts),
  job: jobSchema,
});
/** The end of a step's weights, ahead of them; or one of the pieces of that. */
const weightsTail = v.object({ type: v.literal('weightsTail'), step, piece: v.optional(count) });
/** `head`: the payload is what was not in the step's tail. */
const weights = v.object({ type: v.literal('weights'), step, head: v.optional(v.boolean()) });
/** What is added to the weights of the step before, or to the part of them that starts at `from`. */
const update = v.object({ type: v.literal('update'), step, from: v.optional(positive), encoding });
const shard = v.object({
  type: v.literal('shard'),
  task: v.picklist(TASKS),
  step,
  shard: shardId,
  samples: positive,
  /** What the gradient is to be encoded by, if not by the welcome's codec. */
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
/** Steps are faster without this worker for now; or, with `waiting` false, with it again. */
const reserve = v.object({ type: v.literal('reserve'), waiting: v.boolean(), reason: readable(500) });
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
  /** Of the last finished step's batch. */
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
  /** Steps are faster without it. */
  reserve: v.optional(v.boolean()),
  /** How its gradients and weights travel: 'int4/int8', up before down. */
  codecs: v.optional(text(100)),
});
export type WorkerRow = v.InferOutput<typeof workerRow>;
/** Who the last steps have waited for, and for what of it. */
const slowest = v.object({ id: text(40), cause: v.picklist(['compute', 'link']) });

const run = v.object({
  type: v.literal('run'),
  protocol: count,
  job: jobSchema,
  /** In an epoch. */
  steps: positive,
  curve: v.array(curvePoint),
  epochs: v.array(epochRecord),
  /** Where other devices find the page: told on this machine, whose own address does not lead there. */
  addresses: v.optional(v.pipe(v.array(text(300)), v.maxLength(64))),
});
const notice = v.object({
  what: v.picklist(['refused', 'expelled', 'reserve']),
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
  /** What limits a step, and what would help: for the person. */
  advice: v.optional(readable(1_000)),
  /** Who was not let in, had to go or is kept in reserve. */
  notices: v.optional(v.array(notice)),
});
const epochDone = v.object({ type: v.literal('epoch'), record: epochRecord });
export type RunMessage = v.InferOutput<typeof run>;
export type ProgressMessage = v.InferOutput<typeof progress>;

export const fromCoordinatorSchema = v.variant('type', [
  welcome,
  weightsTail,
  weights,
  update,
  prefetch,
  shard,
  rejected,
  reserve,
  ping,
  finished,
  run,
  progress,
  epochDone,
]);
export type FromCoordinator = v.InferOutput<typeof fromCoordinatorSchema>;
export type Welcome = v.InferOutput<typeof welcome>;
export type WeightsTailMessage = v.InferOutput<typeof weightsTail>;
export type WeightsMessage = v.InferOutput<typeof weights>;
export type UpdateMessage = v.InferOutput<typeof update>;
export type ShardMessage = v.InferOutput<typeof shard>;
