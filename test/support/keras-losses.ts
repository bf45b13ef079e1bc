import { readFileSync } from 'node:fs';
import { prepareJob } from '../../coordinator/model/model.ts';
import type { StoredDataset as Dataset, StoredSplit as Split } from '../../shared/data/dataset.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { LossSpec, MetricSpec } from '../../shared/model/outputs.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import { dense } from './functional-model.ts';
import { compareLossStep, type LossStep } from './loss-differences.ts';

interface Case {
  readonly targetShape: readonly number[];
  readonly target: readonly number[];
  readonly outputShape: readonly number[];
  readonly output: readonly number[];
  readonly value: number;
  readonly weighted: number;
}

/** Figures of test/reference/keras_losses.py, whose header describes them. */
export interface KerasLosses {
  readonly weights: readonly number[];
  readonly losses: readonly (Case & { readonly loss: LossSpec })[];
  readonly metrics: readonly (Case & { readonly metric: MetricSpec })[];
  readonly inputs: readonly number[];
  readonly kernel: readonly number[];
  readonly bias: readonly number[];
  readonly gradients: readonly {
    readonly loss: LossSpec;
    readonly activation: string;
    readonly targetShape: readonly number[];
    readonly target: readonly number[];
    readonly isClass: boolean;
    readonly weighted: boolean;
    readonly value: number;
    readonly gradient: readonly number[];
  }[];
  readonly runs: readonly {
    readonly name: string;
    readonly sizes: readonly number[];
    readonly units: readonly number[];
    readonly losses: readonly string[];
    readonly lossWeights: readonly number[];
    readonly weights: readonly (readonly number[])[];
    readonly inputs: readonly (readonly number[])[];
    readonly targets: readonly (readonly number[])[];
    readonly values: readonly Readonly<Record<string, number>>[];
    readonly trained: readonly number[];
  }[];
}

export function kerasLosses(): KerasLosses {
  const file = new URL('../reference/keras-losses.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as KerasLosses;
}

/** Data set of one split, which is its training and its test. */
export function datasetOf(specs: Pick<Dataset, 'inputs' | 'targets'>, split: Split): Dataset {
  return { name: 'made', description: '', ...specs, train: split, test: split };
}

/** Cases of gradients, with their names for a table of tests. */
export const gradientCases = () =>
  kerasLosses().gradients.map(
    (each) => [JSON.stringify(each.loss), each.activation, each.weighted ? 'with' : 'without', each] as const,
  );

/** Prepares a case of gradients for any engine. */
export async function lossStep(each: KerasLosses['gradients'][number]): Promise<LossStep> {
  const { weights, inputs, kernel, bias } = kerasLosses();
  const count = weights.length;
  const target: TensorSpec = each.isClass
    ? { name: 'y', shape: [], dtype: 'uint8', classes: 4 }
    : { name: 'y', shape: [...each.targetShape], dtype: 'float32' };
  const split: Split = {
    inputs: [Float32Array.from(inputs)],
    targets: [each.isClass ? Uint8Array.from(each.target) : Float32Array.from(each.target)],
    ...(each.weighted ? { weights: Float32Array.from(weights) } : {}),
    count,
  };
  const layers = [dense('y', 4, each.activation, { batch_input_shape: [null, 5] })];
  const topology = { class_name: 'Sequential', config: { name: 'm', layers } };
  const dataset = datasetOf(
    { inputs: [{ name: 'x', shape: [5], dtype: 'float32' }], targets: [target] },
    split,
  );
  const settings = { batchSize: count, epochs: 1, seed: 1, topology, loss: each.loss, metrics: [] };
  const { job } = await prepareJob(dataset, settings);
  const { target: values, isClass, value, gradient } = each;
  const layer = [...kernel, ...bias];
  return {
    job,
    layer,
    inputs,
    target: values,
    isClass,
    weights: each.weighted ? weights : null,
    value,
    gradient,
  };
}

/**
 * Computes a case of gradients on an engine, as compareLossStep does.
 * @param openEngine called after the job is prepared, which activates another backend
 */
export async function measureLossGradient(
  openEngine: () => Promise<Engine>,
  each: KerasLosses['gradients'][number],
  repeats = 1,
  between: () => void = () => undefined,
): Promise<{ readonly loss: number; readonly gradient: number }> {
  const step = await lossStep(each);
  return compareLossStep(await openEngine(), step, repeats, between);
}
