import { readSamples } from '../../shared/data/dataset.ts';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { prepareJob, type PreparedJob } from '../../coordinator/model/model.ts';
import type { JobSettings } from '../../coordinator/model/model.ts';
import { optimizerFromKeras } from '../../coordinator/optimizer/keras-config.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { batches, epochOrder } from '../../coordinator/training/sampler.ts';
import type { StoredDataset as Dataset, StoredSplit as Split } from '../../shared/data/dataset.ts';
import { shardBytes, viewShard, writeShard, type Shard } from '../../shared/data/shard.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job, Topology } from '../../shared/model/job.ts';
import { layoutOf, type Layout } from '../../shared/model/layout.ts';
import type { LossSpec } from '../../shared/model/outputs.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { freshTensor, hashedTensor } from './hashed-values.ts';
import { runDataset, type RunData } from './run-data.ts';

/** Figures of test/reference/keras_runs.py, whose header describes them. */
export interface KerasRuns {
  readonly samples: number;
  readonly seed: number;
  readonly kinds: readonly KerasRun[];
  readonly tasks: readonly KerasRun[];
  readonly diabetes: readonly (readonly number[])[];
}

/** A model that Keras trained, and the losses of its steps. */
export interface KerasRun {
  readonly name: string;
  readonly keras: 2 | 3;
  readonly topology: Topology;
  readonly data: RunData;
  readonly batch: number;
  readonly losses: readonly LossSpec[];
  readonly lossWeights: readonly number[] | null;
  /** Names of the metrics, a list for each output if there are several. */
  readonly metrics: readonly string[] | readonly (readonly string[])[];
  readonly samples: number;
  readonly epochs: number;
  readonly optimizer: unknown;
  readonly shapes: readonly (readonly number[])[];
  readonly values: readonly number[];
}

/** Reads the figures of test/reference. Tests and benches run in the root of the repository. */
export function kerasRuns(): KerasRuns {
  return JSON.parse(gunzipSync(readFileSync('test/reference/keras-runs.json.gz')).toString()) as KerasRuns;
}

/** Settings of a run's job. */
export function settingsOf(run: KerasRun, seed: number) {
  const names = (run.topology.config as { output_layers?: [string][] }).output_layers ?? [];
  const nested = run.metrics.every((metric) => Array.isArray(metric)) && run.metrics.length > 0;
  const metrics = nested
    ? Object.fromEntries(run.metrics.map((each, i) => [names[i]![0], each as readonly string[]]))
    : (run.metrics as readonly string[]);
  return {
    topology: run.topology,
    batchSize: run.batch,
    epochs: run.epochs,
    seed,
    loss: run.losses,
    metrics,
    ...(run.lossWeights === null ? {} : { lossWeights: run.lossWeights }),
    optimizer: optimizerFromKeras(run.optimizer),
  } satisfies JobSettings;
}

/** Scores of test samples, by task and seed, after Keras trained a task to its end. */
export function kerasFullRuns(): Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, number>>>>>
> {
  const text = readFileSync('test/reference/keras-full-runs.json', 'utf8');
  return (JSON.parse(text) as { tasks: ReturnType<typeof kerasFullRuns> }).tasks;
}

/** Weights from which Keras trained a task to its end. */
export function freshWeights(layout: Layout, names: readonly string[], seed: number): Float32Array {
  const weights = new Float32Array(layout.length);
  layout.slices.forEach((slice, t) => weights.set(freshTensor(seed, t, names[t] ?? '', slice), slice.offset));
  return weights;
}

/** Data of a run's first steps. */
export const stepsDataset = ({ samples, diabetes }: KerasRuns, run: KerasRun): Promise<Dataset> =>
  runDataset(run.data, Math.min(samples, run.samples), diabetes);

/**
 * Prepares the job of a run, with the weights that Keras began with.
 * @throws Error if the tensors are not those of Keras
 */
export async function prepareRun(dataset: Dataset, run: KerasRun, seed: number): Promise<PreparedJob> {
  const prepared = await prepareJob(dataset, settingsOf(run, seed));
  const { job, initialWeights, weightNames } = prepared;
  const here = JSON.stringify(job.layout.map(({ shape }) => shape));
  if (here !== JSON.stringify(run.shapes)) {
    throw new Error(`The tensors are ${here}, but those of Keras are ${JSON.stringify(run.shapes)}.`);
  }
  layoutOf(job.layout).slices.forEach((slice, t) =>
    initialWeights.set(hashedTensor(t, weightNames[t] ?? '', slice), slice.offset),
  );
  return prepared;
}

/** Samples of a split as a worker receives them. */
export function shardOf(split: Split, numbers: Uint32Array, job: Job): Shard {
  const payload = new Uint8Array(shardBytes(numbers.length, job));
  writeShard(payload, readSamples(split, numbers), job);
  return viewShard(payload, numbers.length, job);
}

/** Order of a job's samples, batch by batch and epoch by epoch. */
export function* jobBatches({ seed, batchSize }: Job, count: number): Generator<Uint32Array> {
  for (let epoch = 1; ; epoch++) yield* batches(epochOrder(seed, epoch, count), batchSize);
}

/**
 * Trains the first steps of a run on an engine.
 * @param openEngine called after the job is prepared, which activates another backend
 * @param steps number of steps. @default those of Keras
 * @param afterStep called after each step
 * @returns the losses before each step's update, with penalties
 */
export async function stepLosses(
  openEngine: () => Promise<Engine>,
  reference: KerasRuns,
  run: KerasRun,
  steps = run.values.length,
  afterStep: () => void = () => undefined,
): Promise<number[]> {
  const dataset = await stepsDataset(reference, run);
  const { job, initialWeights } = await prepareRun(dataset, run, reference.seed);
  const layout = layoutOf(job.layout);
  const optimizer = createOptimizer(job.optimizer, layout);
  optimizer.weights.set(initialWeights);
  const computer = await (await openEngine()).load(job);
  const gradient = new Float32Array(layout.length);
  const losses: number[] = [];
  for (const numbers of jobBatches(job, dataset.train.count)) {
    const step = losses.length;
    if (step === steps) break;
    const samples = numbers.length;
    computer.setWeights(optimizer.weights);
    const { lossSum } = await computer.gradient(step as Step, shardOf(dataset.train, numbers, job), gradient);
    losses.push(lossSum / samples + optimizer.penalty());
    optimizer.gradientSum.set(gradient);
    optimizer.apply({ step, samples });
    afterStep();
  }
  computer.dispose();
  return losses;
}

/** Largest difference of a run's losses from those of Keras. */
export const lossDifference = (losses: readonly number[], { values }: KerasRun): number =>
  Math.max(...losses.map((loss, step) => Math.abs(loss - values[step]!)));
