import * as tf from '@tensorflow/tfjs';
import type { Dataset } from '../shared/data/dataset.ts';
import { buildModel, writtenOut } from '../shared/engine/model.ts';
import { defaultTopology } from '../shared/model/default-topology.ts';
import type { Job, Topology } from '../shared/model/job.ts';
import {
  refuseWhatIsIgnored,
  withKeyedDropout,
  withLogits,
  withSeededInitializers,
} from '../shared/model/topology.ts';

export interface JobSettings {
  readonly batchSize: number;
  readonly epochs: number;
  readonly seed: number;
  /** Samples of a micro-shard, for a run whose bits do not depend on its workers. */
  readonly microShard?: number | undefined;
  /** Keras topology; the default CNN without one. */
  readonly topology?: Topology | undefined;
}

/** A job, and what its model starts with. */
export interface PreparedJob {
  readonly job: Job;
  /** What the topology's initializers give, in the job's layout. */
  readonly initialWeights: Float32Array;
  /** Names that tfjs-layers gives the tensors, for saving; they never travel. */
  readonly weightNames: readonly string[];
}

/** Keras 1.2's defaults for Adadelta. */
const ADADELTA = { name: 'adadelta', learningRate: 1, rho: 0.95, epsilon: 1e-8 } as const;

/** The batch that Adadelta's defaults were tried with, and up to how many times it the rule below was. */
const USUAL_BATCH = 128;
const MOST_TIMES = 8;

/**
 * Adadelta for a batch: with one k times as large there are k times fewer steps, so each is k times as long, and averages
 * forget as much in one step as they did in k; see docs/decisions/larger-batches.md.
 */
export function optimizerFor(batchSize: number): Job['optimizer'] {
  const times = Math.min(MOST_TIMES, Math.max(1, batchSize / USUAL_BATCH));
  return { ...ADADELTA, learningRate: ADADELTA.learningRate * times, rho: ADADELTA.rho ** times };
}

/**
 * The job that trains a model on a data set. tfjs serves to build the model once; nothing is computed with it here.
 * @throws Error with a sentence if the topology cannot be built, or trained by gradcast
 */
export async function prepareJob(dataset: Dataset, settings: JobSettings): Promise<PreparedJob> {
  const { batchSize, epochs, seed, microShard } = settings;
  if (settings.topology === undefined) checkDefaultFits(dataset);
  const given = settings.topology ?? defaultTopology(dataset.sampleShape, dataset.classes);
  // Workers rewrite the topology so; what they could not do is said here, before anybody joins.
  withLogits(withKeyedDropout(given));
  refuseWhatIsIgnored(given);

  // Without this, tfjs advises on its CPU backend, which only makes the initial weights here.
  tf.enableProdMode();
  await tf.setBackend('cpu');
  const whole = settings.topology === undefined ? given : await writtenOut(tf, given);
  const topology = withSeededInitializers(whole, seed);
  const built = await buildModel(tf, topology);
  try {
    checkFits(built.model, dataset);
    const job: Job = {
      topology,
      layout: built.entries,
      loss: 'categoricalCrossentropy',
      optimizer: optimizerFor(batchSize),
      batchSize,
      epochs,
      seed,
      ...(microShard === undefined ? {} : { microShard }),
      data: {
        name: dataset.name,
        sampleShape: [...dataset.sampleShape],
        classes: dataset.classes,
        scale: 1 / 255,
        trainSamples: dataset.train.count,
        testSamples: dataset.test.count,
      },
    };
    return { job, initialWeights: await built.readWeights(), weightNames: built.names };
  } finally {
    built.dispose();
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

function checkFits(model: tf.LayersModel, { sampleShape, classes, name }: Dataset): void {
  const [input, output] = [model.inputs, model.outputs];
  const shapeOf = (shape: readonly (number | null)[] | undefined): string =>
    `[${(shape ?? []).slice(1).join(', ')}]`;
  const wanted = `[${sampleShape.join(', ')}]`;
  if (input.length !== 1 || shapeOf(input[0]?.shape) !== wanted) {
    const found = input.map(({ shape }) => shapeOf(shape)).join(' and ');
    throw new Error(`The model takes samples of shape ${found}, but those of ${name} are ${wanted}.`);
  }
  if (output.length !== 1 || shapeOf(output[0]?.shape) !== `[${classes}]`) {
    const found = output.map(({ shape }) => shapeOf(shape)).join(' and ');
    throw new Error(`The model answers with ${found}, but ${name} has ${classes} classes.`);
  }
}
