/**
 * The coordinator as a library: serves workers over WebSockets and trains a model on them.
 *
 * @example
 * ```js
 * import { createJob, evaluate, lineReporter, loadDataset, startCoordinator, train } from 'gradcast';
 *
 * const reporter = lineReporter((line) => console.log(line));
 * const dataset = await loadDataset({ reporter });
 * const { job, initialWeights } = await createJob(dataset, { epochs: 2 });
 * const coordinator = await startCoordinator({ job, reporter, host: '0.0.0.0', port: 2718, token: 's3cret' });
 * const { weights } = await train(coordinator, { dataset, weights: initialWeights, reporter });
 * console.log(await evaluate(coordinator, { dataset, weights }));
 * await coordinator.close();
 * ```
 * @packageDocumentation
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import type { Dataset } from '../shared/data/dataset.ts';
import type { Job } from '../shared/model/job.ts';
import { Scoring } from '../shared/model/scoring.ts';
import { layoutOf } from '../shared/model/layout.ts';
import type { EpochRecord, Step } from '../shared/protocol/messages.ts';
import { systemClock } from '../shared/util/clock.ts';
import { startCoordinator as openCoordinator, type Coordinator as Internals } from './hosting/coordinator.ts';
import { loadDataset as loadAnyDataset, userCacheDir } from './data/load-dataset.ts';
import { codecRuleFor } from './links/codecs.ts';
import { writeFileAtomic } from './files/write-file.ts';
import { readModelFile, type ModelFile } from './model-file/model-file.ts';
import { kerasArchive } from './model-file/save-keras.ts';
import { nameWeights, type NamedWeights as WeightsByName } from './model-file/weights-file.ts';
import { completeSettings } from './model/compile-config.ts';
import { compileConfigOf } from './model/compile-export.ts';
import { prepareJob } from './model/model.ts';
import type { OutputSettings } from './model/output-settings.ts';
import { createOptimizer } from './optimizer/optimizer.ts';
import type { OptimizerOptions } from './optimizer/hyperparameters.ts';
import { modelPenalty } from './optimizer/tensor-rules.ts';
import { plainReporter } from './report/plain.ts';
import { combineListeners, type Reporter } from './report/reporter.ts';
import { modelToSave, saveModel as writeModel } from './run/model-folder.ts';
import { waitForWorkers } from './pool/wait-for-workers.ts';
import { train as runTrainingLoop } from './training/train.ts';

export type { Dataset, Split } from '../shared/data/dataset.ts';
export type { TensorSpec } from '../shared/model/tensors.ts';
export type { LossSpec, MetricSpec } from '../shared/model/outputs.ts';
export type { Job, Topology } from '../shared/model/job.ts';
export type { EpochRecord } from '../shared/protocol/messages.ts';
export type { Progress, Reporter } from './report/reporter.ts';

export type { Callback, CallbackContext, CallbackModel, CallbackState, Logs } from './callbacks/callback.ts';
export { csvLog, type CsvLogOptions } from './callbacks/csv-log.ts';
export { earlyStopping, type EarlyStoppingOptions } from './callbacks/early-stopping.ts';
export { learningRateSchedule, reduceLROnPlateau, type RateFunction } from './callbacks/learning-rate.ts';
export { modelCheckpoint, type ModelCheckpointOptions } from './callbacks/model-checkpoint.ts';
export type { MonitorOptions } from './callbacks/monitor.ts';
export { tensorBoard, type TensorBoardOptions } from './callbacks/tensorboard.ts';
export { webhook, type WebhookEvent, type WebhookOptions } from './callbacks/webhook.ts';

export type { AdadeltaOptions } from './optimizer/adadelta.ts';
export type { AdagradOptions } from './optimizer/adagrad.ts';
export type { AdamOptions } from './optimizer/adam.ts';
export type { AdamaxOptions } from './optimizer/adamax.ts';
export type { AdamWOptions } from './optimizer/adamw.ts';
export type { CommonOptions, ScheduleOptions } from './optimizer/common-options.ts';
export type { LambOptions } from './optimizer/lamb.ts';
export type { LionOptions } from './optimizer/lion.ts';
export type { MuonOptions } from './optimizer/muon.ts';
export type { NadamOptions } from './optimizer/nadam.ts';
export type { RmspropOptions } from './optimizer/rmsprop.ts';
export type { SgdOptions } from './optimizer/sgd.ts';

/**
 * An optimizer by name, with those hyperparameters that are not the defaults. It computes as Keras' optimizer of that name.
 * @example
 * ```ts
 * const optimizer: Optimizer = {
 *   name: 'adamw',
 *   learningRate: 3e-4,
 *   weightDecay: 0.01,
 *   noDecay: ['bias', 'gamma'],
 *   schedule: { name: 'cosine', warmupSteps: 100 },
 * };
 * ```
 */
export type Optimizer = OptimizerOptions;

/**
 * Encoding of gradients and weights on a link: `auto` chooses for each link, `float32` is exact.
 * @example
 * ```ts
 * const codec: Codec = 'float16';
 * ```
 */
export type Codec = 'auto' | 'float32' | 'factors' | 'float16' | 'int8' | 'int4' | 'int4/int4';

/**
 * Options of {@link loadDataset}.
 * @example
 * ```ts
 * const options: DatasetOptions = { folder: 'fashion-mnist/', limit: 6_000 };
 * ```
 */
export interface DatasetOptions {
  /** Folder or zip archive of IDX or CSV files. @default MNIST, from MNIST_DIR, the user's cache or a download */
  readonly folder?: string;
  /** Number of training samples to keep. @default all */
  readonly limit?: number;
  /** Whether rows and columns of each image are exchanged, as the files of EMNIST require. @default false */
  readonly transpose?: boolean;
  /** Whether synthetic digits take the place of MNIST. @default 'whenOffline' */
  readonly syntheticDigits?: 'always' | 'whenOffline' | 'never';
  /** Seed of synthetic digits. @default 1337 */
  readonly seed?: number;
  /** Receives lines about files and downloads. @default {@link silentReporter} */
  readonly reporter?: Reporter;
  /** Cancels a download. @default never */
  readonly signal?: AbortSignal;
}

/**
 * Settings of {@link createJob}.
 * @example
 * ```ts
 * const settings: JobOptions = { epochs: 3, batchSize: 256 };
 * ```
 */
export interface JobOptions {
  /** Keras topology as JSON. @default a CNN for images */
  readonly topology?: Job['topology'];
  /** Weights of that topology to start from. @default those of its initializers */
  readonly weights?: NamedWeights | null;
  /** Passes over the training samples. @default 12 */
  readonly epochs?: number;
  /** Samples a step, over all workers. @default 128 */
  readonly batchSize?: number;
  /** Seed of initial weights, order of samples and dropout. @default 1337 */
  readonly seed?: number;
  /** Settings of model.compile() that {@link loadModelFile} read, for those of the following that are missing. @default none */
  readonly compileConfig?: ModelFile['compileConfig'];
  /** State of the compiled optimizer that {@link loadModelFile} read, unless `optimizer` is another one. @default none */
  readonly optimizerState?: ModelFile['optimizerState'];
  /**
   * Loss by Keras' name or with options: the same for all outputs, or one for each, in a list or by name.
   * @default by the last activation and the data
   * @example { probability: 'bce', size: { name: 'huber', delta: 2 } }
   */
  readonly loss?: OutputSettings['loss'];
  /**
   * Metrics by Keras' names or with options. With several outputs an entry for each, in a list or by name.
   * @default `accuracy` for classes, `mae` for values; none for several outputs
   * @example { probability: ['accuracy', 'auc'], size: 'mae' }
   */
  readonly metrics?: OutputSettings['metrics'];
  /** Factors of the outputs' losses. @default 1 */
  readonly lossWeights?: OutputSettings['lossWeights'];
  /** Optimizer of the job. @default Adadelta, scaled to the batch size */
  readonly optimizer?: Optimizer;
  /** Samples of a micro-shard; with it the result has the same bits for any number of workers. @default none */
  readonly microShard?: number;
}

/**
 * A job with the weights to start from.
 * @example
 * ```ts
 * const { job, initialWeights, weightNames }: CreatedJob = await createJob(dataset);
 * ```
 */
export interface CreatedJob {
  readonly job: Job;
  /** All weights in one vector, in the order of the job's layout. */
  readonly initialWeights: Float32Array;
  /** Name of each tensor of the layout, for {@link saveModel}. */
  readonly weightNames: readonly string[];
  /** Vectors of the optimizer's state by name, for {@link train}; empty if the optimizer starts anew. */
  readonly optimizerState: Readonly<Record<string, Float32Array>>;
  /** Sentences about what was chosen or taken from the model's file, and about what is not computed. */
  readonly notes: readonly string[];
}

/**
 * Options of {@link startCoordinator}.
 * @example
 * ```ts
 * const options: CoordinatorOptions = { job, host: '0.0.0.0', port: 2718, token: 's3cret' };
 * ```
 */
export interface CoordinatorOptions {
  readonly job: Job;
  /** Address to listen on. @default '127.0.0.1' */
  readonly host?: string;
  /** Port to listen on; 0 takes a free one. @default 0 */
  readonly port?: number;
  /** Secret that workers need to join. @default every worker may join */
  readonly token?: string;
  /** Certificate and key in PEM, to serve https and wss. @default http and ws */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Encoding of gradients and weights; a job with micro-shards always uses float32. @default 'auto' */
  readonly codec?: Codec;
  /** Maximum number of workers. @default 1000 */
  readonly maxWorkers?: number;
  /** Receives lines about workers. @default {@link silentReporter} */
  readonly reporter?: Reporter;
  /** Aborted to stop: a training finishes its step and returns. @default never */
  readonly signal?: AbortSignal;
}

/**
 * A server that workers can join, until it is closed.
 * @example
 * ```ts
 * const coordinator: Coordinator = await startCoordinator({ job });
 * console.log(coordinator.urls, coordinator.workerCount);
 * ```
 */
export interface Coordinator {
  /** Addresses that workers connect to (ws:// or wss://), the nearest first. */
  readonly urls: readonly string[];
  readonly port: number;
  /** Number of connected workers. */
  readonly workerCount: number;
  /** Tells workers that the run is over, and closes the port. @param reason sentence for the workers' logs */
  close(reason?: string): Promise<void>;
}

/**
 * Options of {@link train}.
 * @example
 * ```ts
 * const options: TrainOptions = { dataset, weights: initialWeights, minWorkers: 4 };
 * ```
 */
export interface TrainOptions {
  /** The data set that the job was created for. */
  readonly dataset: Dataset;
  /** Weights to start from; not changed. */
  readonly weights: Float32Array;
  /** State of the optimizer to start from, of {@link createJob}. @default that of a new optimizer */
  readonly optimizerState?: Readonly<Record<string, Float32Array>>;
  /** Number of workers to wait for before the first step. @default 1 */
  readonly minWorkers?: number;
  /** Receives progress. @default {@link silentReporter} */
  readonly reporter?: Reporter;
  /** Called after each epoch; training waits for it. @default none */
  readonly onEpoch?: (record: EpochRecord, weights: Float32Array) => void | Promise<void>;
}

/**
 * Result of {@link train}.
 * @example
 * ```ts
 * const { weights, history }: TrainResult = await train(coordinator, { dataset, weights: initialWeights });
 * console.log(history.at(-1)?.val_accuracy);
 * ```
 */
export interface TrainResult {
  readonly weights: Float32Array;
  /** Number of steps. */
  readonly steps: number;
  /** Loss and metrics of each finished epoch. */
  readonly history: readonly EpochRecord[];
}

/**
 * A trained model for {@link saveModel}.
 * @example
 * ```ts
 * const model: TrainedModel = { job, weights, weightNames, dataDescription: dataset.description };
 * ```
 */
export interface TrainedModel {
  readonly job: Job;
  readonly weights: Float32Array;
  readonly weightNames: readonly string[];
  /** Finished epochs and their scores. @default none */
  readonly history?: readonly EpochRecord[];
  /** Description of the training data. @default the name of the job's data set */
  readonly dataDescription?: string;
}

/**
 * A model as {@link loadModelFile} reads it. Its parts are options of {@link createJob}.
 * @example
 * ```ts
 * const { topology, weights, compileConfig }: LoadedModelFile = await loadModelFile('model.keras');
 * const job = await createJob(dataset, { topology, weights, compileConfig });
 * ```
 */
export type LoadedModelFile = ModelFile;

/**
 * Tensors of a model by name, such as `dense/kernel`.
 * @example
 * ```ts
 * const weights: NamedWeights = new Map([['dense/bias', { shape: [2], values: new Float32Array(2) }]]);
 * ```
 */
export type NamedWeights = WeightsByName;

const DEFAULT_SEED = 1337;
const DEFAULT_EPOCHS = 12;
const DEFAULT_BATCH_SIZE = 128;
const DEFAULT_MAX_WORKERS = 1_000;

const NEVER = new AbortController().signal;
const clock = systemClock(globalThis);

interface RunningCoordinator {
  readonly internals: Internals;
  readonly job: Job;
  readonly signal: AbortSignal;
}

const running = new WeakMap<Coordinator, RunningCoordinator>();

/**
 * Reporter that ignores everything.
 * @example
 * ```ts
 * await startCoordinator({ job, reporter: { ...silentReporter, warn: (line) => console.warn(line) } });
 * ```
 */
export const silentReporter: Reporter = {
  info: () => undefined,
  warn: () => undefined,
  progress: () => undefined,
  epochStarted: () => undefined,
  stepFinished: () => undefined,
  epochFinished: () => undefined,
  close: () => undefined,
};

/**
 * Reporter that writes plain lines: progress every ten seconds, and one line an epoch.
 * @param write receives each line
 * @example
 * ```ts
 * const reporter = lineReporter((line) => console.log(line));
 * ```
 */
export const lineReporter = (write: (line: string) => void): Reporter => plainReporter(write, clock);

/**
 * Loads a data set of images.
 * @throws Error with a sentence if a file is missing or damaged
 * @example
 * ```ts
 * const dataset = await loadDataset({ folder: 'fashion-mnist/', limit: 6_000 });
 * ```
 */
export function loadDataset(options: DatasetOptions = {}): Promise<Dataset> {
  const { folder, limit, transpose, syntheticDigits, seed = DEFAULT_SEED, signal } = options;
  return loadAnyDataset({
    dataDir: folder,
    limit,
    transpose,
    useSyntheticDigits: syntheticDigits,
    seed,
    signal,
    report: options.reporter ?? silentReporter,
    env: process.env,
    cacheDir: userCacheDir(),
    fetch: globalThis.fetch,
  });
}

/**
 * Creates the job that trains a model on a data set, with its initial weights.
 * @throws Error with a sentence if the model cannot be built, or does not fit the data set
 * @example
 * ```ts
 * const { job, initialWeights } = await createJob(await loadDataset(), { epochs: 3 });
 * ```
 */
export async function createJob(dataset: Dataset, options: JobOptions = {}): Promise<CreatedJob> {
  rejectUnknownOptions(options);
  const { epochs = DEFAULT_EPOCHS, batchSize = DEFAULT_BATCH_SIZE, seed = DEFAULT_SEED } = options;
  const { topology, weights, microShard, compileConfig = null, optimizerState, ...given } = options;
  const model = topology === undefined ? null : { topology, compileConfig };
  const { taken, problems, ...settings } = completeSettings(given, model, 'the model');
  const { job, initialWeights, weightNames, notes, optimizerStart } = await prepareJob(dataset, {
    ...settings,
    optimizerState: given.optimizer === undefined ? optimizerState : null,
    epochs,
    batchSize,
    seed,
    topology,
    weights: weights ?? undefined,
    microShard,
  });
  const first = [taken, optimizerStart?.sentence].filter((sentence) => typeof sentence === 'string');
  const sentences = [...first, ...notes, ...problems];
  const { vectors = {} } = optimizerStart ?? {};
  return { job, initialWeights, weightNames, optimizerState: vectors, notes: sentences };
}

const count = v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1)));
/** Options of createJob; losses, metrics and optimizers have more checks of their own. */
const jobOptionsSchema = v.object({
  topology: v.optional(v.record(v.string(), v.unknown())),
  weights: v.nullish(v.map(v.string(), v.looseObject({}))),
  compileConfig: v.nullish(v.looseObject({})),
  optimizerState: v.nullish(v.looseObject({})),
  epochs: count,
  batchSize: count,
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  microShard: count,
  loss: v.optional(v.unknown()),
  metrics: v.optional(v.unknown()),
  lossWeights: v.optional(v.unknown()),
  optimizer: v.optional(v.looseObject({ name: v.string() })),
});

/** @throws Error with a sentence that names an option that there is not, or of another type */
function rejectUnknownOptions(options: object): void {
  const known = Object.keys(jobOptionsSchema.entries);
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new Error(`createJob has no option ${unknown}. It has ${known.join(', ')}.`);
  const { issues } = v.safeParse(jobOptionsSchema, options);
  if (issues === undefined) return;
  const [issue] = issues;
  throw new Error(
    `The option ${v.getDotPath(issue)} of createJob is wrong: ${issue.message.replace(/^Invalid (\w+): /, '')}.`,
  );
}

/**
 * Opens the port that workers and browsers join. It trusts the answers of its workers: with a token, only workers that
 * know it may join.
 * @throws Error with a sentence if it cannot listen on that address
 * @example
 * ```ts
 * const coordinator = await startCoordinator({ job, host: '0.0.0.0', port: 2718, token: 's3cret' });
 * console.log(`gradcast worker ${coordinator.urls[0]} --token s3cret`);
 * ```
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { job, host = '127.0.0.1', port = 0, token, tls, codec = 'auto', signal = NEVER } = options;
  const internals = await openCoordinator({
    job,
    host,
    port,
    token,
    tls,
    codecs: codecRuleFor(job, codec),
    maxWorkers: options.maxWorkers ?? DEFAULT_MAX_WORKERS,
    pageDir: fileURLToPath(new URL('../page/', import.meta.url)),
    clock,
    report: options.reporter ?? silentReporter,
    signal,
  });
  const coordinator: Coordinator = {
    urls: internals.urls,
    port: internals.port,
    get workerCount() {
      return internals.pool.workers.size;
    },
    close: (reason = 'The run is finished.') => internals.close(reason),
  };
  running.set(coordinator, { internals, job, signal });
  return coordinator;
}

/**
 * Trains the coordinator's job on its workers, from the first epoch to the last. Workers may join and leave meanwhile;
 * without any, training waits.
 * @throws Error with the name TrainingDiverged if the loss or the gradient is not finite
 * @example
 * ```ts
 * const { weights, history } = await train(coordinator, { dataset, weights: initialWeights, minWorkers: 2 });
 * ```
 */
export async function train(coordinator: Coordinator, options: TrainOptions): Promise<TrainResult> {
  const { internals, job, signal } = findRunning(coordinator);
  const { stepRunner, pool, feed, metrics, bottleneckReporter } = internals;
  const { dataset, minWorkers = 1, reporter = silentReporter, onEpoch } = options;
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const { weights } = optimizer;
  if (options.weights.length !== weights.length) {
    throw new RangeError(`The job has ${weights.length} weights; ${options.weights.length} were passed.`);
  }
  weights.set(options.weights);
  for (const [name, values] of Object.entries(options.optimizerState ?? {}))
    optimizer.state[name]?.set(values);
  const history: EpochRecord[] = [];
  await waitForWorkers(pool, minWorkers, null, clock, signal);
  const { steps } = await runTrainingLoop({
    job,
    dataset,
    optimizer,
    stepRunner,
    pool,
    report: combineListeners(reporter, bottleneckReporter, feed, metrics),
    clock,
    signal,
    async save(record) {
      history.push(record);
      await onEpoch?.(record, optimizer.averagedWeights.slice());
    },
  });
  // The average has no values before the first step.
  const trained = steps > 0 ? optimizer.averagedWeights : weights;
  return { weights: trained.slice(), steps, history };
}

/**
 * Loss and metrics, by name, of weights on the test samples of a data set, computed by the coordinator's workers.
 * @returns means over the test samples
 * @example
 * ```ts
 * const { loss, accuracy } = await evaluate(coordinator, { dataset, weights });
 * ```
 */
export async function evaluate(
  coordinator: Coordinator,
  { dataset, weights }: { readonly dataset: Dataset; readonly weights: Float32Array },
): Promise<{ readonly loss: number; readonly [metric: string]: number }> {
  const { internals, job } = findRunning(coordinator);
  // Workers may have other weights with the number of the same step.
  internals.stepRunner.rewind();
  const score = await internals.stepRunner.evaluate({ step: 0 as Step, weights, split: dataset.test });
  const { loss, metrics } = new Scoring(job).means(score, dataset.test.count);
  return { loss: loss + modelPenalty(job, weights), ...metrics };
}

/**
 * Saves a trained model as model.json and a file of weights, which `tf.loadLayersModel` and `gradcast predict` read.
 * @param folder created if it is missing
 * @throws Error with a sentence that names the file that could not be written
 * @example
 * ```ts
 * await saveModel('model/', { job, weights, weightNames, history });
 * ```
 */
export async function saveModel(folder: string, model: TrainedModel): Promise<void> {
  const { job, weights, weightNames, history = [] } = model;
  const last = history.at(-1) ?? null;
  const training = {
    gradcast: packageVersion(),
    dataDescription: model.dataDescription ?? job.data.name,
    epochs: last?.epoch ?? 0,
  };
  await writeModel(folder, modelToSave(job, { weights, names: weightNames }, training, last));
}

/**
 * Reads a model that was not trained here: a .keras or .h5 file of Keras 2 or 3, or a topology as JSON of Keras or TensorFlow.js.
 * @param options.weights file whose weights take the place of the model file's: .weights.h5, .h5 or .keras
 * @returns topology, weights (null if there are none) and the settings of model.compile() as Keras wrote them
 * @throws Error with a sentence that names the file, and what to do if it has another format
 * @example
 * ```ts
 * const { job, initialWeights } = await createJob(dataset, await loadModelFile('model.keras'));
 * ```
 */
export function loadModelFile(
  file: string,
  options: { readonly weights?: string } = {},
): Promise<LoadedModelFile> {
  return readModelFile(file, options.weights);
}

/**
 * Saves a trained model as a .keras file, which `load_model` of Keras 3 reads. It is compiled with the job's optimizer, loss and
 * metrics, so that `fit` can be called.
 * @param file name that ends in .keras; an existing file is replaced
 * @throws Error with a sentence if the file could not be written, or Keras 3 does not have a layer
 * @example
 * ```ts
 * await saveKerasModel('model.keras', { job, weights, weightNames });
 * ```
 */
export async function saveKerasModel(
  file: string,
  { job, weights, weightNames }: Pick<TrainedModel, 'job' | 'weights' | 'weightNames'>,
): Promise<void> {
  const named = nameWeights(weights, weightNames, job.layout);
  const compiled = compileConfigOf(job, weightNames);
  await writeFileAtomic(file, await kerasArchive(job, named, new Date(), compiled));
}

function findRunning(coordinator: Coordinator): RunningCoordinator {
  const found = running.get(coordinator);
  if (found === undefined) throw new TypeError('The coordinator was not started by startCoordinator.');
  return found;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
