import { classProbabilities } from '../../shared/model/class-probabilities.ts';
import type { Job } from '../../shared/model/job.ts';
import { sampleSize } from '../../shared/model/tensors.ts';
import type { DataMetadata } from './inputs.ts';

/** One output for one sample: probabilities of classes, or values in the unit of the target. */
export interface Prediction {
  /** Probability of each class; null for values. */
  readonly probabilities: readonly number[] | null;
  readonly values: Float32Array;
}

/** Meaning of an output's values. */
export interface OutputReader {
  /** Name of the target of a model with one output, else of the output. */
  readonly name: string;
  /** Values of a sample. */
  readonly size: number;
  readonly shape: readonly number[];
  /** Names of the classes; null if the output is none of classes. */
  readonly classNames: readonly string[] | null;
  /** Names of several values, if they have names. */
  readonly valueNames: readonly string[] | null;
  read(values: Float32Array): Prediction;
}

/** Classes that are named in a line. */
const TOP_CLASSES = 3;
/** Values of an output that are in a line. */
const MAX_VALUES = 10;

/**
 * Readers of a model's outputs, in its order.
 * @example
 * ```ts
 * const [reader] = outputReaders(job, metadata);
 * describePrediction(reader, reader.read(values)); // 'cat (98.2%)   then dog (1.7%), horse (0.1%)'
 * ```
 */
export function outputReaders(
  job: Pick<Job, 'outputs' | 'targets'>,
  { preprocessing, classNames }: DataMetadata = {},
): OutputReader[] {
  const known =
    preprocessing === undefined || preprocessing.kind === 'image' ? [] : (preprocessing.targets ?? []);
  return job.outputs.map((output, i) => {
    const target = job.targets[i];
    const own = { outputs: [output], targets: target === undefined ? [] : [target] };
    const named = known[i];
    const names =
      named?.type === 'category' && job.targets.length === known.length
        ? named.values
        : i === 0
          ? classNames
          : undefined;
    const areClasses = target?.classes !== undefined && target.shape.length === 0;
    return {
      name: job.outputs.length === 1 ? (target?.name ?? output.name) : output.name,
      size: sampleSize(output),
      shape: output.shape,
      classNames: areClasses
        ? Array.from({ length: target.classes ?? 0 }, (_, label) => names?.[label] ?? String(label))
        : null,
      valueNames:
        job.outputs.length === 1 && known.length > 1 && known.length === sampleSize(output)
          ? known.map(({ name }) => name)
          : null,
      read: (values) => ({ values, probabilities: areClasses ? classProbabilities(own, values) : null }),
    };
  });
}

/** Class with the largest probability, the first of equal ones. */
export function mostLikely(probabilities: ArrayLike<number>): number {
  let best = 0;
  for (let label = 1; label < probabilities.length; label++) {
    if ((probabilities[label] as number) > (probabilities[best] as number)) best = label;
  }
  return best;
}

/** The likely classes, or the values of an output that is none of classes, as text. */
export function describePrediction(
  { classNames, valueNames }: Pick<OutputReader, 'classNames' | 'valueNames'>,
  { probabilities, values }: Prediction,
): string {
  if (probabilities === null) {
    const shown = Array.from(values.subarray(0, MAX_VALUES), (value, i) => {
      const number = formatValue(value);
      return valueNames === null ? number : `${valueNames[i] ?? ''} ${number}`;
    });
    return `${shown.join(', ')}${values.length > MAX_VALUES ? ', ...' : ''}`;
  }
  const ranked = [...probabilities.entries()].sort(([, a], [, b]) => b - a).slice(0, TOP_CLASSES);
  const [best, ...others] = ranked.map(
    ([label, p]) => `${classNames?.[label] ?? label} (${(100 * p).toFixed(1)}%)`,
  );
  return `${best ?? ''}   then ${others.join(', ')}`;
}

/** Number with four significant digits, without an exponent where that is short. */
const formatValue = (value: number): string => {
  const size = Math.abs(value);
  return size >= 1e4 && size < 1e9 ? String(Math.round(value)) : value.toPrecision(4);
};

/**
 * A class with its probability and those of all classes.
 * @example
 * ```ts
 * const prediction: ClassPrediction = { class: 'cat', probability: 0.9, probabilities: { cat: 0.9, dog: 0.1 } };
 * ```
 */
export interface ClassPrediction {
  readonly class: string;
  readonly probability: number;
  readonly probabilities: Readonly<Record<string, number>>;
}

/**
 * Prediction of one output for one sample: a class, a number in the unit of the target, several numbers, or several by their names.
 * @example
 * ```ts
 * const price: OutputPrediction = 208_500;
 * ```
 */
export type OutputPrediction =
  ClassPrediction | number | readonly number[] | Readonly<Record<string, number>>;

/** Predictions of a sample by output, for programs. */
export const predictionsByOutput = (
  readers: readonly OutputReader[],
  predictions: readonly Prediction[],
): Record<string, OutputPrediction> =>
  Object.fromEntries(
    readers.map((reader, i) => [reader.name, predictionJson(reader, predictions[i] as Prediction)]),
  );

/** Predictions of a sample, one for each output. @param sample number of the sample in the batch */
export const readPredictions = (
  readers: readonly OutputReader[],
  outputs: readonly Float32Array[],
  sample: number,
): Prediction[] =>
  readers.map((reader, i) => {
    const from = sample * reader.size;
    return reader.read((outputs[i] as Float32Array).subarray(from, from + reader.size));
  });

function predictionJson(
  { classNames, valueNames, size }: OutputReader,
  { probabilities, values }: Prediction,
): OutputPrediction {
  if (probabilities !== null) {
    const best = mostLikely(probabilities);
    const byName = probabilities.map((p, label) => [classNames?.[label] ?? String(label), p] as const);
    return {
      class: classNames?.[best] ?? String(best),
      probability: probabilities[best] ?? 0,
      probabilities: Object.fromEntries(byName),
    };
  }
  if (valueNames !== null) return Object.fromEntries(valueNames.map((name, i) => [name, values[i] ?? 0]));
  return size === 1 ? (values[0] ?? 0) : Array.from(values);
}
