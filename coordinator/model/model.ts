import * as tf from '@tensorflow/tfjs';
import type { Dataset } from '../../shared/data/dataset.ts';
import { buildModel, type BuiltModel } from '../../shared/engine/model.ts';
import { defaultTopology } from '../../shared/model/default-topology.ts';
import { expandTopology } from '../../shared/model/expand-topology.ts';
import { fitInput, takesBytes } from '../../shared/model/fit-input.ts';
import { withTfjsInitializers } from '../../shared/model/initializers.ts';
import type { Job, Topology } from '../../shared/model/job.ts';
import {
  moveSoftmaxLast,
  withKeyedDropout,
  withLogits,
  withSeededInitializers,
} from '../../shared/model/topology.ts';
import { registerOrthogonal } from './orthogonal.ts';
import { fillWeights, type NamedWeights } from '../run/weights-file.ts';
import { explainModelError, withLayerNames } from './model-errors.ts';

export interface JobSettings {
  readonly batchSize: number;
  readonly epochs: number;
  readonly seed: number;
  /** Samples of a micro-shard, for a run whose bits do not depend on its workers. */
  readonly microShard?: number | undefined;
  /** Keras topology; the default CNN without one. */
  readonly topology?: Topology | undefined;
  /** Weights to start from instead of those that the initializers give. */
  readonly weights?: NamedWeights | undefined;
}

/** A job, and what its model starts with. */
export interface PreparedJob {
  readonly job: Job;
  /** What the topology's initializers give, in the job's layout. */
  readonly initialWeights: Float32Array;
  /** Names that tfjs-layers gives the tensors, for saving; they never travel. */
  readonly weightNames: readonly string[];
  /** Sentences for the person on how the model was read. */
  readonly notes: readonly string[];
}

/** Keras 1.2's defaults for Adadelta. */
const ADADELTA_DEFAULTS = { name: 'adadelta', learningRate: 1, rho: 0.95, epsilon: 1e-8 } as const;

/** The batch that Adadelta's defaults were tried with, and up to how many times it the rule below was. */
const REFERENCE_BATCH_SIZE = 128;
const MAX_BATCH_FACTOR = 8;

/**
 * Adadelta for a batch: with one k times as large there are k times fewer steps, so each is k times as long, and averages
 * forget as much in one step as they did in k; see docs/decisions/0023-larger-batches.md.
 * @param batchSize samples of a step, no more than there are
 */
export function scaleOptimizer(batchSize: number): Job['optimizer'] {
  const times = Math.min(MAX_BATCH_FACTOR, Math.max(1, batchSize / REFERENCE_BATCH_SIZE));
  return {
    ...ADADELTA_DEFAULTS,
    learningRate: ADADELTA_DEFAULTS.learningRate * times,
    rho: ADADELTA_DEFAULTS.rho ** times,
  };
}

/**
 * The job that trains a model on a data set. tfjs serves to build the model once; nothing is computed with it here.
 * @throws Error with a sentence if the topology cannot be built, or trained by gradcast
 */
export async function prepareJob(dataset: Dataset, settings: JobSettings): Promise<PreparedJob> {
  const { batchSize, epochs, seed, microShard } = settings;
  const { topology: read, outputs } = moveSoftmaxLast(readModel(dataset, settings.topology));
  // Workers rewrite the topology so; what they could not do is said here, before anybody joins.
  withLogits(withKeyedDropout(read));

  // Without this, tfjs advises on its CPU backend, which only makes the initial weights here.
  tf.enableProdMode();
  await tf.setBackend('cpu');
  const topology = withSeededInitializers(read, seed);
  const built = await buildInitialModel(topology);
  try {
    const classes = checkOutput(built.model, dataset, outputs);
    checkTensors(built.entries, built.names);
    const bytes = takesBytes(topology);
    const job: Job = {
      topology,
      layout: built.entries,
      loss: 'categoricalCrossentropy',
      optimizer: scaleOptimizer(Math.min(batchSize, dataset.train.count)),
      batchSize,
      epochs,
      seed,
      ...(microShard === undefined ? {} : { microShard }),
      data: {
        name: dataset.name,
        sampleShape: [...dataset.sampleShape],
        classes,
        scale: bytes ? 1 : 1 / 255,
        trainSamples: dataset.train.count,
        testSamples: dataset.test.count,
      },
    };
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
      initialWeights,
      weightNames: names,
      notes: collectNotes(dataset, job, weights !== undefined),
    };
  } finally {
    built.dispose();
  }
}

/** Builds a model with its initial weights. @throws Error with a sentence that names the layer */
async function buildInitialModel(topology: Topology): Promise<BuiltModel> {
  registerOrthogonal(tf);
  try {
    return await withLayerNames(tf, () => buildModel(tf, withTfjsInitializers(topology)));
  } catch (error) {
    throw explainModelError(error, 'built');
  }
}

/** Two convolutions of 3 x 3 and a pooling of 2 x 2 leave nothing of a smaller image. */
const MIN_DEFAULT_SIDE = 6;

/** @throws Error if the images are too small for the default model */
function checkDefaultFits({ sampleShape: [height = 0, width = 0], name }: Dataset): void {
  if (height >= MIN_DEFAULT_SIDE && width >= MIN_DEFAULT_SIDE) return;
  const side = Math.sqrt(height * width);
  const square =
    Number.isInteger(side) && side >= MIN_DEFAULT_SIDE ? `, or write the images as ${side} x ${side}` : '';
  throw new Error(
    `The default model takes images of at least ${MIN_DEFAULT_SIDE} x ${MIN_DEFAULT_SIDE}, but those of ${name} are ${height} x ${width}. ` +
      `Give --model a model for that shape${square}.`,
  );
}

/** @throws Error with a sentence if the model is none, or does not take the data's samples */
function readModel(dataset: Dataset, topology: Topology | undefined): Topology {
  const { name, sampleShape, classes } = dataset;
  if (topology === undefined) {
    checkDefaultFits(dataset);
    return defaultTopology(sampleShape, classes);
  }
  const read = expandTopology(topology);
  const fitted = fitInput(read, sampleShape);
  if (fitted !== null) return fitted;
  throw new Error(
    `The model's input does not fit ${name}: its samples are [${sampleShape.join(', ')}]. ` +
      'Give the model one input of that shape.',
  );
}

/**
 * @param wanted outputs that the model must have, if it is known
 * @returns the model's outputs: as many as the data has classes, or more
 */
function checkOutput(model: tf.LayersModel, { classes, name }: Dataset, wanted: number | null): number {
  const shapes = model.outputs.map(({ shape }) => shape.slice(1));
  const [outputs] = shapes.flat();
  const fits = shapes.length === 1 && shapes[0]?.length === 1 && outputs === (wanted ?? outputs);
  if (fits && typeof outputs === 'number' && outputs >= classes) return outputs;
  const found = shapes.map((shape) => `[${shape.join(', ')}]`).join(' and ');
  throw new Error(`The model answers with ${found}, but ${name} has ${classes} classes.`);
}

/** @throws Error if nothing trains, or if two tensors could not be told apart in a saved model */
function checkTensors(entries: Job['layout'], names: readonly string[]): void {
  if (!entries.some(({ trainable }) => trainable)) {
    throw new Error(
      'Every layer of the model is frozen or without weights, so there is nothing to train. Set trainable.',
    );
  }
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new Error(`Two tensors of the model are named ${twice}. Rename the layers they belong to.`);
}

function collectNotes({ classes, name }: Dataset, { data, topology }: Job, trained: boolean): string[] {
  const notes: string[] = [];
  if (trained) notes.push('Training starts from the weights of the model file.');
  if (data.classes > classes) {
    notes.push(
      `The model has ${data.classes} outputs, ${name} has ${classes} classes: the others are never right.`,
    );
  }
  if (data.scale === 1) notes.push('The model starts with a Rescaling: it gets pixels from 0 to 255.');
  else if (JSON.stringify(topology).includes('"class_name":"Embedding"')) {
    notes.push('The model has an Embedding, which reads whole numbers, but pixels are divided by 255.');
  }
  return notes;
}
