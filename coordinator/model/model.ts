import * as tf from '@tensorflow/tfjs';
import { hasWeights, type Dataset } from '../../shared/data/dataset.ts';
import { describeShapes, type TensorSpec, BYTE_SCALE } from '../../shared/model/tensors.ts';
import { datasetDigest } from '../data/dataset-digest.ts';
import { makesMasks } from '../../shared/engine/layers/masks.ts';
import { buildModel, type BuiltModel } from '../../shared/engine/model.ts';
import { defaultModel, isDefaultCnn, isTokens } from '../../shared/model/default-models.ts';
import { expandTopology, takesIntegers } from '../../shared/model/expand-topology.ts';
import { fitInput, fitInputs, takesBytes } from '../../shared/model/fit-input.ts';
import { withTfjsInitializers } from '../../shared/model/initializers.ts';
import type { OptimizerSettings, SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { Job, Topology } from '../../shared/model/job.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import { moveSoftmaxLast, withKeyedDropout, withSeededInitializers } from '../../shared/model/topology.ts';
import { extractTensorRules } from './extract-tensor-rules.ts';
import { adadeltaDefaults } from '../optimizer/adadelta.ts';
import type { OptimizerOptions } from '../optimizer/hyperparameters.ts';
import { resolveOptimizer } from '../optimizer/optimizer-options.ts';
import { stepsPerEpoch } from '../training/sampler.ts';
import { registerMatrixInitializers } from './matrix-initializers.ts';
import { fillWeights, type NamedWeights } from '../model-file/weights-file.ts';
import type { OptimizerState } from '../model-file/model-file.ts';
import { placeOptimizerState, type OptimizerStart } from './optimizer-state.ts';
import { MAX_METRIC_SUMS } from '../../shared/protocol/messages.ts';
import { checkOutputSettings, metricLabels, type OutputSettings } from './output-settings.ts';
import { resolveOutputs, type ModelOutput } from './outputs.ts';
import type { CustomBundle } from '../../shared/engine/custom-objects.ts';
import { checkData } from './check-data.ts';
import { sampleStatistics } from './statistics.ts';
import { withCpuBackend } from './cpu-backend.ts';
import { explainModelError, withLayerNames } from './model-errors.ts';
import { didYouMean } from '../../shared/util/suggest.ts';

export interface JobSettings extends OutputSettings {
  readonly batchSize: number;
  readonly epochs: number;
  readonly seed: number;
  /** Samples of a micro-shard in an exact run, whose bits do not depend on its workers. */
  readonly microShard?: number | undefined;
  /** Keras topology. @default the default CNN */
  readonly topology?: Topology | undefined;
  /** Initial weights. @default those of the topology's initializers */
  readonly weights?: NamedWeights | undefined;
  /** @default Adadelta, scaled to the batch size */
  readonly optimizer?: OptimizerOptions | undefined;
  /** State of that optimizer in the file of the topology. @default none */
  readonly optimizerState?: OptimizerState | null | undefined;
  /** Layers, losses and metrics of a person. @default none */
  readonly custom?: CustomBundle | undefined;
}

/** Job with the initial weights of its model. */
export interface PreparedJob {
  readonly job: Job;
  /** The data set; samples that are read when they are needed are checked then. */
  readonly dataset: Dataset;
  /** Flat vector in the job's layout. */
  readonly initialWeights: Float32Array;
  /** Names of the tensors in tfjs-layers, for saving. They are not part of the protocol. */
  readonly weightNames: readonly string[];
  /** Sentences to report about the model. */
  readonly notes: readonly string[];
  /** State of the optimizer in the model's file; null if there is none. */
  readonly optimizerStart: OptimizerStart | null;
}

/** Batch size of Adadelta's defaults. */
const REFERENCE_BATCH_SIZE = 128;
/** Largest measured ratio to that batch size. */
const MAX_BATCH_FACTOR = 8;

/**
 * Scales Adadelta for a batch size: a batch k times as large means k times fewer steps, so each step is k times as long, and
 * its averages decay as much as in k steps. See docs/decisions/0023-larger-batches.md.
 * @param batchSize samples of a step, at most the size of the training set
 */
export function scaleOptimizer(batchSize: number): SettingsOf<'adadelta'> {
  const factor = Math.min(MAX_BATCH_FACTOR, Math.max(1, batchSize / REFERENCE_BATCH_SIZE));
  return {
    name: 'adadelta',
    ...adadeltaDefaults,
    learningRate: adadeltaDefaults.learningRate * factor,
    rho: adadeltaDefaults.rho ** factor,
  };
}

/**
 * Checks what can be checked of a run's settings before its data is loaded.
 * @throws Error with a sentence that names the option
 */
export function checkSettings(settings: OutputSettings & Pick<JobSettings, 'optimizer'>): void {
  checkOutputSettings(settings);
  const { optimizer, metrics, optionName } = settings;
  if (optimizer === undefined) return;
  const context = { names: null, steps: 1, adadelta: scaleOptimizer(1), optionName };
  const resolved = resolveOptimizer(optimizer, context);
  const labels = metricLabels(metrics);
  // With several outputs, the name of a metric has that of its output before it.
  const { schedule } = resolved;
  const isOfAnOutput =
    schedule?.name === 'plateau' &&
    (schedule.monitor.endsWith('_loss') || labels?.some((label) => schedule.monitor.endsWith(`_${label}`)));
  if (labels !== null && isOfAnOutput !== true) checkMonitor(resolved, labels, optionName);
}

/**
 * Prepares the job that trains a model on a data set. tfjs builds the model once, for its layout and initial weights.
 * @throws Error with a sentence if gradcast cannot build or train the topology
 */
export const prepareJob = (dataset: Dataset, settings: JobSettings): Promise<PreparedJob> =>
  withCpuBackend(() => buildJob(dataset, settings));

async function buildJob(dataset: Dataset, settings: JobSettings): Promise<PreparedJob> {
  const { batchSize, epochs, seed, microShard, custom } = settings;
  const extracted = extractTensorRules(
    await fitModel(dataset, settings.topology, custom?.code.layers, settings.optionName),
  );
  const { topology: fitted, outputs } = moveSoftmaxLast(extracted.topology);
  // Workers rewrite the topology like this. An error is thrown here, before a worker joins.
  withKeyedDropout(fitted);

  const topology = withSeededInitializers(fitted, seed);
  const built = await buildInitialModel(topology, custom);
  try {
    checkMovedSoftmax(built.model, dataset, outputs);
    checkMasks(built.model);
    const notes: string[] = [];
    const scored = resolveOutputs(topology, modelOutputs(built.model), dataset, settings, (line) =>
      notes.push(line),
    );
    checkTensors(built.entries, built.names);
    const optimizer = resolveOptimizer(settings.optimizer ?? defaultOptimizer(dataset, settings.topology), {
      names: built.names,
      steps: epochs * stepsPerEpoch(dataset.train.count, batchSize),
      adadelta: scaleOptimizer(Math.min(batchSize, dataset.train.count)),
      optionName: settings.optionName,
    });
    const tensorRules = extracted.forTensors(built.names, built.entries);
    const { optimizerState: state, topology: own } = settings;
    const optimizerStart =
      state == null || own === undefined
        ? null
        : placeOptimizerState(state, { optimizer, layout: built.entries }, own, built.names);
    const { iterations: earlierSteps = 0 } = optimizerStart ?? {};
    const job: Job = {
      topology,
      layout: built.entries,
      optimizer: {
        ...optimizer,
        ...(tensorRules.length === 0 ? {} : { tensorRules }),
        ...(earlierSteps === 0 ? {} : { earlierSteps }),
      },
      batchSize,
      epochs,
      seed,
      ...(microShard === undefined ? {} : { microShard }),
      inputs: takesBytes(topology) ? dataset.inputs.map(withoutByteScale) : [...dataset.inputs],
      ...scored,
      ...(custom === undefined ? {} : { customCode: custom.code }),
      ...(hasWeights(dataset.train) || hasWeights(dataset.test) ? { sampleWeights: true } : {}),
      data: {
        name: dataset.name,
        trainSamples: dataset.train.count,
        testSamples: dataset.test.count,
        digest: datasetDigest(dataset),
      },
    };
    const checked = checkData(job, dataset);
    checkSums(job);
    checkMonitor(job.optimizer, new Scoring(job).names, settings.optionName);
    const initialWeights = await built.readWeights();
    const { weights } = settings;
    const { names, entries } = built;
    if (weights !== undefined)
      fillWeights(
        initialWeights,
        names,
        entries.map(({ shape }) => shape),
        weights,
      );
    return {
      job,
      dataset: checked,
      initialWeights,
      weightNames: names,
      optimizerStart,
      notes: [...notes, ...collectNotes(dataset, job, weights !== undefined)],
    };
  } finally {
    built.dispose();
  }
}

/** @throws Error if an answer would have more sums of metrics than a message can */
function checkSums(job: Job): void {
  const { sums } = new Scoring(job);
  if (sums <= MAX_METRIC_SUMS) return;
  throw new Error(
    `The metrics need ${sums} sums, and a message has at most ${MAX_METRIC_SUMS}. Leave a metric out: auc and rates at a rate have 2 for ` +
      'each threshold, f1_score, fbeta_score and r2_score 3 for each class, IoU kinds 2 for each class.',
  );
}

/** @throws Error if the learning rate follows a metric that the run does not compute */
function checkMonitor(
  { schedule }: OptimizerSettings,
  metrics: readonly string[],
  optionName: OptionName = keyName,
): void {
  if (schedule?.name !== 'plateau') return;
  const computed = ['loss', ...metrics];
  if (computed.includes(schedule.monitor.replace(/^val_/, ''))) return;
  throw new Error(
    `The plateau schedule monitors ${schedule.monitor}, but the run computes ${computed.join(', ')}.${didYouMean(schedule.monitor.replace(/^val_/, ''), computed)} ` +
      `Add the metric with ${optionName('metrics')}, or use another ${optionName('schedule.monitor')}.`,
  );
}

/** Builds a model with its initial weights. @throws Error with a sentence that names the layer */
async function buildInitialModel(topology: Topology, custom: CustomBundle | undefined): Promise<BuiltModel> {
  registerMatrixInitializers(tf);
  try {
    return await withLayerNames(tf, () =>
      buildModel(tf, withTfjsInitializers(topology), custom?.objects ?? null),
    );
  } catch (error) {
    throw explainModelError(error, 'built', custom?.code);
  }
}

/** Smallest image for the default model: two convolutions of 3 x 3 and a pooling of 2 x 2. */
const MIN_DEFAULT_SIDE = 6;

/** @throws Error if the images are too small for the default model */
function checkDefaultFits(
  [height = 0, width = 0]: readonly number[],
  name: string,
  optionName: OptionName,
): void {
  if (height >= MIN_DEFAULT_SIDE && width >= MIN_DEFAULT_SIDE) return;
  const side = Math.sqrt(height * width);
  const square =
    Number.isInteger(side) && side >= MIN_DEFAULT_SIDE ? `, or write the images as ${side} x ${side}` : '';
  throw new Error(
    `The default model takes images of at least ${MIN_DEFAULT_SIDE} x ${MIN_DEFAULT_SIDE}, but those of ${name} are ${height} x ${width}. ` +
      `Set ${optionName('model')} to a model for that shape${square}.`,
  );
}

/** The default model for a data set. @throws Error with a sentence if there is none */
async function makeDefaultModel(dataset: Dataset, optionName: OptionName): Promise<Topology> {
  const { name, inputs, targets, train, preprocessing } = dataset;
  const [input, ...others] = inputs;
  if (input === undefined || others.length > 0) {
    throw new Error(
      `${name} has ${inputs.length} inputs, for which there is no default model. Use ${optionName('model')} with one.`,
    );
  }
  if (input.shape.length === 3) checkDefaultFits(input.shape, name, optionName);
  if (isDefaultCnn({ input, targets })) {
    return defaultModel({ input, targets, inputStatistics: null, targetStatistics: [null] });
  }
  const { measure, shard } = await sampleStatistics(train);
  return defaultModel({
    input,
    targets,
    // The numbers of a table are standardized already.
    inputStatistics: preprocessing?.kind === 'table' ? null : measure(input, shard.inputs[0]),
    targetStatistics: targets.map((target, i) => measure(target, shard.targets[i])),
  });
}

/** Steps of an epoch of a default model, if there are enough samples: with fewer, it learns little in the usual number of epochs. */
const WANTED_STEPS = 100;

/** Samples a step of the default model: 128, and fewer for data sets with less than 100 such steps, except of images. */
export function defaultBatchSize({
  inputs,
  targets,
  train,
}: Pick<Dataset, 'inputs' | 'targets' | 'train'>): number {
  const [input] = inputs;
  if (input === undefined || isDefaultCnn({ input, targets })) return REFERENCE_BATCH_SIZE;
  return Math.max(
    8,
    Math.min(REFERENCE_BATCH_SIZE, 2 ** Math.floor(Math.log2(Math.max(1, train.count / WANTED_STEPS)))),
  );
}

/** Rate with which the embedding and GRU of the default model learn in half the steps of Keras' 0.001. */
const TOKENS_LEARNING_RATE = 0.003;

/** Optimizer if none is named: Adadelta for the CNN, as in Keras' example, and for models of the user; Adam for other defaults. */
function defaultOptimizer(
  { inputs: [input], targets }: Dataset,
  topology: Topology | undefined,
): OptimizerOptions {
  if (topology !== undefined || input === undefined || isDefaultCnn({ input, targets }))
    return { name: 'adadelta' };
  return isTokens(input) ? { name: 'adam', learningRate: TOKENS_LEARNING_RATE } : { name: 'adam' };
}

/** Topology with an input for the data's samples. @throws Error with a sentence if it does not take them */
async function fitModel(
  dataset: Dataset,
  topology: Topology | undefined,
  custom: readonly string[] | undefined,
  optionName: OptionName = keyName,
): Promise<Topology> {
  const { name } = dataset;
  const sampleShape = dataset.inputs[0]?.shape ?? [];
  if (topology === undefined) return makeDefaultModel(dataset, optionName);
  const expanded = expandTopology(topology, custom);
  const fitted =
    dataset.inputs.length === 1 ? fitInput(expanded, sampleShape) : fitInputs(expanded, dataset.inputs);
  if (fitted !== null) {
    checkWholeNumbers(dataset, topology, expanded);
    return fitted;
  }
  throw new Error(
    dataset.inputs.length === 1
      ? `The model's input does not fit ${name}: its samples are [${sampleShape.join(', ')}]. Give the model one input of that shape.`
      : `The model's inputs do not fit ${name}: its samples are ${describeShapes(dataset.inputs)}. Give the model these inputs, in this order.`,
  );
}

/** @throws Error if an input for whole numbers would get others */
function checkWholeNumbers({ inputs, name }: Dataset, topology: Topology, expanded: Topology): void {
  if (takesBytes(expanded)) return;
  const wanted = takesIntegers(topology);
  const other = inputs.find(
    ({ dtype, scale = 1, offset = 0 }, i) =>
      wanted[i] === true && (dtype === 'float32' || scale !== 1 || offset !== 0),
  );
  if (other === undefined) return;
  throw new Error(
    `The model's input takes whole numbers, but ${other.name} of ${name} has fractions` +
      `${other.scale === BYTE_SCALE ? ': pixels are divided by 255' : ''}. Give the model an input of dtype float32.`,
  );
}

/** Outputs of a built model. */
const modelOutputs = ({ outputs }: tf.LayersModel): ModelOutput[] =>
  outputs.map(({ shape, sourceLayer }) => ({ name: sourceLayer.name, shape: shape.slice(1) }));

/** @throws Error if a mask reaches an output of the model, which a pass with any inputs shows */
function checkMasks(model: tf.LayersModel): void {
  if (!makesMasks(model)) return;
  tf.tidy(() => {
    const inputs = model.inputs.map(({ shape }) => tf.zeros(shape.map((size) => size ?? 1)));
    model.apply(inputs.length === 1 ? (inputs[0] as tf.Tensor) : inputs);
  });
}

/**
 * Checks that a softmax that was moved last is over all outputs.
 * @param expected number of outputs that the model must have for that; null if no softmax was moved
 */
function checkMovedSoftmax(model: tf.LayersModel, { targets, name }: Dataset, expected: number | null): void {
  const shapes = model.outputs.map(({ shape }) => shape.slice(1));
  if (expected === null || (shapes.length === 1 && shapes[0]?.length === 1 && shapes[0][0] === expected))
    return;
  const found = shapes.map((shape) => `[${shape.join(', ')}]`).join(' and ');
  throw new Error(`The model's output is ${found}, but ${name} has ${targets[0]?.classes ?? 0} classes.`);
}

/** Input whose bytes the model scales itself. */
function withoutByteScale(input: TensorSpec): TensorSpec {
  const { scale, ...stored } = input;
  return input.dtype === 'uint8' && scale === BYTE_SCALE ? stored : input;
}

/** Checks the tensors of a model. @throws Error if none is trainable, or if two have the same name in a saved model */
function checkTensors(entries: Job['layout'], names: readonly string[]): void {
  if (!entries.some(({ trainable }) => trainable)) {
    throw new Error(
      'Every layer of the model is frozen or without weights, so there is nothing to train. Set trainable.',
    );
  }
  const duplicate = names.find((name, i) => names.indexOf(name) !== i);
  if (duplicate !== undefined)
    throw new Error(`Two tensors of the model are named ${duplicate}. Rename their layers.`);
}

const hasEmbedding = ({ topology }: Job): boolean =>
  JSON.stringify(topology).includes('"class_name":"Embedding"');

function collectNotes({ targets, name }: Dataset, job: Job, hasWeights: boolean): string[] {
  const notes: string[] = [];
  const classes = targets[0]?.classes ?? 0;
  const outputs = job.targets[0]?.classes ?? 0;
  if (hasWeights) notes.push('Training starts from the weights of the model file.');
  if (classes > 0 && outputs > classes) {
    notes.push(
      `The model has ${outputs} outputs, but ${name} has ${classes} classes: the other outputs are never right.`,
    );
  }
  const isByte = ({ dtype, scale }: TensorSpec): boolean => dtype === 'uint8' && scale === undefined;
  if (job.inputs.some(isByte) && takesBytes(job.topology))
    notes.push('The model starts with a Rescaling layer, so its input is pixels from 0 to 255.');
  else if (
    job.inputs.some(({ dtype, classes }) => dtype === 'uint8' && classes === undefined) &&
    hasEmbedding(job)
  ) {
    notes.push('The model has an Embedding, which expects whole numbers, but pixels are divided by 255.');
  }
  return notes;
}
