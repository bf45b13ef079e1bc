import * as v from 'valibot';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Topology } from '../../shared/model/job.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import type { OptimizerName } from '../../shared/model/optimizer-settings.ts';
import type { Callback } from '../callbacks/callback.ts';
import { recordedDataOptions } from '../data/recorded-options.ts';
import type { ClassWeights } from '../data/class-weights.ts';
import type { DataOptions } from '../data/data-options.ts';
import type { OutputSettings } from '../model/output-settings.ts';
import type { OptimizerOptions } from '../optimizer/hyperparameters.ts';
import type { LayersModel, TensorFlow } from './tensorflow.ts';
import { didYouMean, namesIn } from '../../shared/util/suggest.ts';

/**
 * The model to train: a file of Keras or TensorFlow.js, a topology as JSON, a model of TensorFlow.js, or a function that
 * makes one of these for the data.
 * @example
 * ```ts
 * const model: TaskModel = (tf, { inputs }) =>
 *   tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [...inputs[0].shape] })] });
 * ```
 */
export type TaskModel = string | Topology | LayersModel | ModelFunction;

/**
 * A target of the data, and how large its values are.
 * @example
 * ```ts
 * const model: ModelFunction = (tf, { inputs, targets: [price] }) =>
 *   tf.sequential({
 *     layers: [
 *       tf.layers.dense({ inputShape: inputs[0].shape, units: 1 }),
 *       tf.layers.rescaling({ scale: price.std, offset: price.mean }),
 *     ],
 *   });
 * ```
 */
export interface TargetSpec extends TensorSpec {
  /** Mean of all its values in the training part, measured on 10,000 samples at most; 0 for classes. */
  readonly mean: number;
  /** Standard deviation of these values; 1 for classes. */
  readonly std: number;
}

/**
 * The data set that a function makes a model for.
 * @example
 * ```ts
 * const model: ModelFunction = (tf, { inputs, targets }: ModelDataset) =>
 *   tf.sequential({ layers: [tf.layers.dense({ inputShape: inputs[0].shape, units: targets[0].classes ?? 1 })] });
 * ```
 */
export interface ModelDataset extends Dataset {
  readonly inputs: readonly [TensorSpec, ...TensorSpec[]];
  readonly targets: readonly [TargetSpec, ...TargetSpec[]];
}

/**
 * Function that makes a model for a data set with the TensorFlow.js of gradcast. It is called once, in the coordinator.
 * @example
 * ```ts
 * const model: ModelFunction = (tf) => tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4] })] });
 * ```
 */
export type ModelFunction = (
  tf: TensorFlow,
  dataset: ModelDataset,
) => LayersModel | Topology | Promise<LayersModel | Topology>;

/**
 * Values of one input or target: nested lists, or a typed array with its shape.
 * @example
 * ```ts
 * const x: ArrayValues = [[0, 1], [1, 0]];
 * const y: ArrayValues = { values: new Float32Array([0, 1]), shape: [2, 1] };
 * ```
 */
export type ArrayValues =
  | readonly unknown[]
  | Uint8Array
  | Int32Array
  | Float32Array
  | {
      /** All values, row-major. */
      readonly values: Uint8Array | Int32Array | Float32Array;
      /** Samples first: [samples, ...shape of one]. */
      readonly shape: readonly number[];
    };

/**
 * Samples in memory, as Keras' `fit` takes them. Several inputs or targets are objects with a name for each.
 * @example
 * ```ts
 * const data: ArrayData = { x: [[0, 0], [0, 1], [1, 0], [1, 1]], y: [0, 1, 1, 0] };
 * ```
 */
export interface ArrayData {
  readonly x: ArrayValues | Readonly<Record<string, ArrayValues>>;
  readonly y: ArrayValues | Readonly<Record<string, ArrayValues>>;
  /** Samples that the model is measured on after each epoch. @default a fifth of the samples, drawn by the seed */
  readonly xTest?: ArrayValues | Readonly<Record<string, ArrayValues>> | undefined;
  readonly yTest?: ArrayValues | Readonly<Record<string, ArrayValues>> | undefined;
  /** Weight of each training sample. @default 1 */
  readonly sampleWeights?: ArrayValues | undefined;
  /** Name of the data in logs. @default 'arrays' */
  readonly name?: string | undefined;
}

/**
 * How data is read from files.
 * @example
 * ```ts
 * const data: DataFiles = { source: 'fashion-mnist/', limit: 6_000 };
 * ```
 */
export type DataFiles = Omit<DataOptions, 'seed'>;

/**
 * The data to train on: a name or path, how files are read, arrays, or a data set of a program's own.
 * @example
 * ```ts
 * const data: TaskData = 'fashion-mnist/';
 * ```
 */
export type TaskData = string | DataFiles | ArrayData | Dataset;

/**
 * Model, data and settings of a training, as `model.compile()` and `model.fit()` of Keras take them.
 * @example
 * ```ts
 * const task: Task = { model: 'model.keras', data: 'fashion-mnist/', optimizer: 'adam', epochs: 5 };
 * ```
 */
export interface Task {
  /** @default a model for the data, such as a CNN for images */
  readonly model?: TaskModel | undefined;
  /** File whose weights take the place of those of the model's file: .weights.h5, .h5 or .keras. @default none */
  readonly weights?: string | undefined;
  /** @default MNIST */
  readonly data?: TaskData | undefined;
  /** Loss by Keras' name or with options: the same for all outputs, or one for each. @default by the last activation and the data */
  readonly loss?: OutputSettings['loss'];
  /** Metrics by Keras' names or with options. @default `accuracy` for classes, `mae` for values; none for several outputs */
  readonly metrics?: OutputSettings['metrics'];
  /**
   * File with layers, losses and metrics of your own, which model, loss and metrics may name: one module without imports. Workers
   * run it only if their person trusts it. @default none
   */
  readonly customObjects?: string | undefined;
  /** Factors of the outputs' losses. @default 1 */
  readonly lossWeights?: OutputSettings['lossWeights'];
  /**
   * Optimizer by Keras' name, or with options. @default that of the model's file; else Adadelta, scaled to the batch size, or Adam for
   * default models of rows and tokens
   */
  readonly optimizer?: OptimizerName | OptimizerOptions | undefined;
  /** Samples a step, over all workers. @default 128; fewer for default models of rows and tokens with few samples */
  readonly batchSize?: number | undefined;
  /** Passes over the training samples. @default 12 */
  readonly epochs?: number | undefined;
  /** Seed of initial weights, order of samples and dropout. @default 1337 */
  readonly seed?: number | undefined;
  /** Weights of the training samples of a class: `{ 0: 1, 1: 5 }`. @default 1 */
  readonly classWeights?: ClassWeights | undefined;
  /** Whether the result has the same bits for any number of workers. @default false */
  readonly exact?: boolean | undefined;
  /** Samples that an exact run computes at a time. @default 16 */
  readonly microShard?: number | undefined;
  /** Called in their order while the run trains. @default none */
  readonly callbacks?: readonly Callback[] | undefined;
}

const whole = (min: number, max: number) =>
  v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max)));

/** Settings of a task; models, data, losses, metrics and optimizers have more checks of their own. */
const taskFields = {
  model: v.optional(v.union([v.string(), v.function(), v.looseObject({})])),
  weights: v.optional(v.string()),
  data: v.optional(v.union([v.string(), v.looseObject({})])),
  loss: v.optional(v.unknown()),
  metrics: v.optional(v.unknown()),
  customObjects: v.optional(v.string()),
  lossWeights: v.optional(v.unknown()),
  optimizer: v.optional(v.union([v.string(), v.looseObject({})])),
  batchSize: whole(1, 1_000_000),
  epochs: whole(1, 1_000_000),
  seed: whole(0, 2 ** 32 - 1),
  classWeights: v.optional(v.record(v.string(), v.pipe(v.number(), v.finite(), v.minValue(0)))),
  exact: v.optional(v.boolean()),
  microShard: whole(1, 65_536),
  callbacks: v.optional(v.array(v.looseObject({}, 'it takes callbacks, such as earlyStopping()'))),
};

/**
 * Returns its argument: gives a task in a file of its own its type.
 * @example
 * ```ts
 * // task.ts
 * export default defineTask({ model: 'model.keras', data: 'photos/', optimizer: 'adam', epochs: 20 });
 * ```
 */
export const defineTask = (task: Task): Task => task;

/**
 * Checks that a value is a task.
 * @param source name of the value in errors, such as a file
 * @throws TypeError with a sentence that names a setting that there is not, or that has another type
 */
export function checkTask(value: unknown, source = 'The task'): Task {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(
      `${source} is no object with settings such as model, data and epochs. Use defineTask({ ... }).`,
    );
  checkSettings(value, taskFields, source);
  checkTaskData((value as Task).data, `${source}: data`);
  return value;
}

const { testData: test, ...ofFiles } = recordedDataOptions.entries;
/** Settings of data in files. */
const fileFields = { source: v.optional(v.string()), test, limit: v.optional(v.number()), ...ofFiles };

const values = v.custom<unknown>((value) => typeof value === 'object' && value !== null, 'Expected numbers');
/** Settings of samples in memory. */
const arrayFields = {
  x: values,
  y: values,
  xTest: v.optional(values),
  yTest: v.optional(values),
  sampleWeights: v.optional(values),
  name: v.optional(v.string()),
};

/**
 * @internal Checks the settings of data; a data set is taken as it is.
 * @throws TypeError with a sentence that names a setting that there is not, or that has another type
 */
export function checkTaskData(data: TaskData | undefined, source: string): void {
  if (typeof data !== 'object' || 'train' in data) return;
  checkSettings(data, 'x' in data ? arrayFields : fileFields, source);
}

/**
 * @internal Checks the settings of an object against the fields of a valibot schema.
 * @throws TypeError with a sentence that names a setting that there is not, or that has another type
 */
export function checkSettings(value: object, fields: v.ObjectEntries, source: string): void {
  const known = Object.keys(fields);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new TypeError(
      `${source} has no setting ${unknown}.${didYouMean(unknown, known)} It has ${known.join(', ')}.`,
    );
  const { issues } = v.safeParse(v.object(fields), value);
  if (issues === undefined) return;
  const [issue] = issues;
  const suggestion = typeof issue.input === 'string' ? didYouMean(issue.input, namesIn(issue.expected)) : '';
  throw new TypeError(
    `${source}: ${v.getDotPath(issue)} is wrong: ${issue.message.replace(/^Invalid (\w+): /, '')}.${suggestion}`,
  );
}
