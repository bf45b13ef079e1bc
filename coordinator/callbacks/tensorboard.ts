import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';
import type { Job } from '../../shared/model/job.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import type { Callback, CallbackContext, Logs } from './callback.ts';
import { EventFile, tag, type SummaryValue } from './event-file.ts';
import { checkCount } from './monitor.ts';

/**
 * Options of {@link tensorBoard}.
 * @example
 * const options: TensorBoardOptions = { dir: 'logs/first', everySteps: 100, histograms: 1 };
 */
export interface TensorBoardOptions {
  /** Folder of the run's files. @default 'logs' */
  readonly dir?: string;
  /** Epochs after which histograms of the weights are written; 0 for none. @default 0 */
  readonly histograms?: number;
  /** Whether the graph of the model's layers is written. @default true */
  readonly graph?: boolean;
  /** Steps after which means over the epoch so far are written, besides those of epochs. @default none */
  readonly everySteps?: number;
}

/** Buckets of a histogram. */
const BUCKETS = 30;

/**
 * Writes files for TensorBoard, with the folders, names and steps of Keras' callback: `epoch_loss` in train/ and validation/, counted
 * from epoch 0. TensorBoard shows them with `tensorboard --logdir logs`.
 * @throws Error that names an option with a wrong value
 * @example
 * const callbacks = [tensorBoard({ dir: 'logs/first', histograms: 1 })];
 */
export function tensorBoard(options: TensorBoardOptions = {}): Callback {
  const { dir = 'logs', histograms = 0, graph = true, everySteps } = options;
  checkCount('tensorBoard', 'histograms', histograms);
  if (everySteps !== undefined) checkCount('tensorBoard', 'everySteps', everySteps, 1);
  const files = new Map<string, EventFile>();
  let hasFailed = false;

  /** File of a part of the run: '' for its hyperparameters, train or validation. */
  const fileOf = (part: string): EventFile => {
    const file = files.get(part) ?? new EventFile(join(dir, part), files.size);
    files.set(part, file);
    return file;
  };
  const flush = async ({ warn }: Pick<CallbackContext, 'warn'>): Promise<void> => {
    try {
      for (const file of files.values()) await file.flush();
      hasFailed = false;
    } catch (error) {
      // A full disk must not end the run.
      if (!hasFailed) warn(`TensorBoard lacks some values: ${errorMessage(error)}`);
      hasFailed = true;
    }
  };
  const writeEnd = async (context: CallbackContext, status: number): Promise<void> => {
    fileOf('').add(0, [sessionValue('_hparams_/session_end_info', 4, encodeEnd(status))]);
    await flush(context);
  };

  return {
    name: 'tensorBoard',
    async onTrainBegin({ model: { job }, isResumed }) {
      fileOf('').add(0, [sessionValue('_hparams_/session_start_info', 3, encodeStart(job, dir))]);
      if (graph && !isResumed) fileOf('train').add(0, [await graphValue(job)]);
      // An error that is there from the beginning ends the run before its first step.
      for (const file of files.values()) await file.flush();
    },
    async onStepEnd(context) {
      const { step, logs } = context;
      if (everySteps === undefined || step % everySteps !== 0) return;
      const file = fileOf('train');
      file.add(step, scalars('batch_', logs));
      if (file.isFull) await flush(context);
    },
    async onEpochEnd(context) {
      const { epoch, logs, learningRate, model } = context;
      const entries = Object.entries({ learning_rate: learningRate, ...logs });
      const isTest = ([name]: readonly [string, number]): boolean => name.startsWith('val_');
      const training = entries.filter((entry) => !isTest(entry));
      const test = entries.filter(isTest).map(([name, value]) => [name.slice('val_'.length), value] as const);
      fileOf('train').add(epoch - 1, scalars('epoch_', Object.fromEntries(training)));
      fileOf('validation').add(epoch - 1, scalars('epoch_', Object.fromEntries(test)));
      if (histograms > 0 && (epoch - 1) % histograms === 0) {
        for (const [name, { values }] of model.tensors()) {
          const tensor = { dtype: 'float64', shape: [BUCKETS, 3], values: histogramOf(values) } as const;
          fileOf('train').add(epoch - 1, [{ tag: `${name}/histogram`, tensor, plugin: 'histograms' }]);
        }
      }
      await flush(context);
    },
    onTrainEnd: (context) => writeEnd(context, SUCCESS),
    onError: (_, context) => writeEnd(context, FAILURE),
  };
}

const scalars = (prefix: string, logs: Logs): SummaryValue[] =>
  Object.entries(logs).map(([name, value]) => ({
    tag: `${prefix}${name}`,
    tensor: { dtype: 'float32', shape: [], values: [value] },
    plugin: 'scalars',
  }));

/**
 * Histogram of values with buckets of equal width, as tf.summary.histogram computes it.
 * @returns for each bucket: left edge, right edge, count
 * @example
 * histogramOf(Float32Array.of(1, 1, 2)).slice(0, 3); // Float64Array [1, 1.0333333333333334, 2]
 */
export function histogramOf(values: Float32Array, buckets = BUCKETS): Float64Array {
  const histogram = new Float64Array(3 * buckets);
  if (values.length === 0) return histogram;
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const width = (max - min) / buckets;
  for (let b = 0; b < buckets; b++) {
    histogram[3 * b] = min + b * width;
    histogram[3 * b + 1] = b === buckets - 1 ? max : min + (b + 1) * width;
  }
  for (const value of values) {
    const bucket = width === 0 ? buckets - 1 : Math.floor((value - min) / width);
    const at = 3 * Math.min(bucket, buckets - 1) + 2;
    histogram[at] = (histogram[at] as number) + 1;
  }
  return histogram;
}

/** Layers of the model as JSON of Keras 3, which TensorBoard draws; of TensorFlow.js if Keras lacks a layer. */
async function graphValue(job: Job): Promise<SummaryValue> {
  const { kerasTopology } = await import('../model-file/save-keras.ts');
  let topology: object = job.topology;
  try {
    topology = kerasTopology(job.topology);
  } catch {
    // The graph then lacks the lines between layers of a functional model.
  }
  return {
    tag: 'keras',
    tensor: { dtype: 'string', text: JSON.stringify(topology) },
    plugin: 'graph_keras_model',
    content: Buffer.from('1'),
  };
}

/** Value of the plugin hparams, whose data is in its metadata. @param field of HParamsPluginData */
const sessionValue = (name: string, field: number, message: Uint8Array): SummaryValue => ({
  tag: name,
  tensor: { dtype: 'float32', shape: [], values: [0] },
  plugin: 'hparams',
  content: protobuf.Writer.create().uint32(tag(field, 2)).bytes(message).finish(),
});

/** Statuses of a session. */
const SUCCESS = 1;
const FAILURE = 2;

/** SessionStartInfo with the hyperparameters of a job. */
function encodeStart(job: Job, group: string): Uint8Array {
  const { optimizer, batchSize, seed, outputs } = job;
  const { name, ...settings } = optimizer;
  const values = {
    optimizer: name,
    ...settings,
    batchSize,
    seed,
    loss: outputs.map(({ loss }) => loss.name).join(', '),
  };
  const writer = protobuf.Writer.create();
  for (const [key, value] of Object.entries(values)) {
    if (typeof value === 'object') continue;
    writer.uint32(tag(1, 2)).fork();
    writer.uint32(tag(1, 2)).string(key);
    writer.uint32(tag(2, 2)).fork();
    if (typeof value === 'number') writer.uint32(tag(2, 1)).double(value);
    else if (typeof value === 'boolean') writer.uint32(tag(4, 0)).bool(value);
    else writer.uint32(tag(3, 2)).string(String(value));
    writer.ldelim().ldelim();
  }
  writer.uint32(tag(4, 2)).string(group);
  return writer
    .uint32(tag(5, 1))
    .double(Date.now() / 1000)
    .finish();
}

/** SessionEndInfo. */
const encodeEnd = (status: number): Uint8Array =>
  protobuf.Writer.create()
    .uint32(tag(1, 0))
    .int32(status)
    .uint32(tag(2, 1))
    .double(Date.now() / 1000)
    .finish();
