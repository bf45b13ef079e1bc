import { checkClasses, viewShard, type Shard } from '../../shared/data/shard.ts';
import { classProbabilities } from '../../shared/model/class-probabilities.ts';
import type { Job } from '../../shared/model/job.ts';
import { sampleSize, type TensorSpec, type TensorValues } from '../../shared/model/tensors.ts';
import type { DetailsMessage } from '../../shared/protocol/messages.ts';
import { formatPercent } from './format.ts';

/** Test samples that the page has been sent. */
export interface TestSamples {
  readonly job: Job;
  readonly shard: Shard;
  readonly count: number;
  /** Names of the classes; empty if they have none. */
  readonly classNames: readonly string[];
}

/** A test sample with its prediction. */
export interface SampleView {
  /** Position among the samples. */
  readonly index: number;
  readonly isRight: boolean;
  /** How wrong the model is: its confidence in a wrong class, or the distance of a number. 0 if it is right. */
  readonly error: number;
  readonly truth: string;
  readonly predicted: string;
}

/** Predictions of the test samples, and how good they are. */
export interface ModelView {
  readonly kind: 'classes' | 'values';
  /** In the order of the samples. */
  readonly samples: readonly SampleView[];
  /** How good it is, in a sentence. */
  readonly text: string;
  /** Samples by true class and predicted class; null for values, and for more classes than a table holds. */
  readonly confusion: readonly (readonly number[])[] | null;
  readonly classNames: readonly string[];
  /** True and predicted values, for a plot; null for classes. */
  readonly points: readonly (readonly [number, number])[] | null;
}

/** Size of a picture whose pixels can be shown. */
const MIN_SIDE = 4;
const MAX_SIDE = 512;
/** Classes of a table that a screen shows. */
const MAX_CONFUSION = 12;
/** Values of a sample that is no picture. */
const MAX_SHOWN_VALUES = 6;

/**
 * Test samples of a message.
 * @returns null if it has none, or if they cannot be shown
 * @throws ProtocolError if the payload does not fit the job
 */
export function readSamples(job: Job, message: DetailsMessage, payload: Uint8Array): TestSamples | null {
  const { samples: count, classNames = [] } = message;
  if (count === 0) return null;
  const shard = viewShard(payload, count, job);
  checkClasses(shard, job);
  const [target] = job.targets;
  return target === undefined || sampleSize(target) !== 1 ? null : { job, shard, count, classNames };
}

/** Height, width and channels of the job's samples if they are pictures; else null. */
export function pictureSize({ inputs }: Pick<Job, 'inputs'>): readonly [number, number, number] | null {
  const [input, ...others] = inputs;
  if (input?.dtype !== 'uint8' || others.length > 0) return null;
  const [height = 0, width = 0, channels = 0, ...rest] = input.shape;
  if (rest.length > 0 || (channels !== 1 && channels !== 3)) return null;
  return [height, width].every((side) => side >= MIN_SIDE && side <= MAX_SIDE)
    ? [height, width, channels]
    : null;
}

/**
 * Pixels of a picture for a canvas: red, green, blue and opacity, 0 to 255.
 * @param index position among the samples
 */
export function pixelsOf(
  { shard }: TestSamples,
  index: number,
  size: readonly number[],
): Uint8ClampedArray<ArrayBuffer> {
  const [height = 0, width = 0, channels = 1] = size;
  const values = shard.inputs[0] ?? new Uint8Array();
  const start = index * height * width * channels;
  const pixels = new Uint8ClampedArray(height * width * 4);
  for (let i = 0; i < height * width; i++) {
    for (let color = 0; color < 3; color++) {
      pixels[4 * i + color] = values[start + i * channels + (channels === 1 ? 0 : color)] ?? 0;
    }
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}

/** The first values of a sample that is no picture, in words. */
export function describeInputs({ job, shard }: TestSamples, index: number): string {
  const parts = job.inputs.map((input, i) =>
    describeInput(input, shard.inputs[i], index, job.inputs.length > 1),
  );
  return parts.join(' · ');
}

function describeInput(
  input: TensorSpec,
  values: TensorValues | undefined,
  index: number,
  hasName: boolean,
): string {
  const size = sampleSize(input);
  const { scale = 1, offset = 0 } = input;
  const own = values?.subarray(index * size, (index + 1) * size) ?? [];
  const shown = Array.from(own.slice(0, MAX_SHOWN_VALUES), (value) =>
    formatValue(input.classes === undefined ? value * scale + offset : value),
  );
  const text = `${shown.join(', ')}${size > MAX_SHOWN_VALUES ? ', …' : ''}`;
  return hasName ? `${input.name} ${text}` : text;
}

const formatValue = (value: number): string => String(Number(value.toPrecision(4)));

/**
 * View of a prediction of the samples.
 * @param values of its first output: [count, ...shape]
 * @returns null if the output is neither a class nor a number
 */
export function createModelView(samples: TestSamples, values: Float32Array): ModelView | null {
  const { job, shard, count, classNames } = samples;
  const width = values.length / count;
  const [targets] = shard.targets;
  const [target] = job.targets;
  const [output] = job.outputs;
  if (targets === undefined || target === undefined || output === undefined) return null;
  if (width !== sampleSize(output)) return null;
  const outputs = Array.from({ length: count }, (_, i) => values.subarray(i * width, (i + 1) * width));
  if (target.classes !== undefined) {
    const truths = Array.from(targets);
    const probabilities = outputs.map((output) => classProbabilities(job, output));
    return probabilities.every((each) => each !== null)
      ? classView(truths, probabilities, target.classes, classNames)
      : null;
  }
  if (width !== 1) return null;
  const { scale = 1, offset = 0 } = target;
  return valueView(
    Array.from(targets, (value) => value * scale + offset),
    outputs.map(([value]) => value ?? NaN),
  );
}

function classView(
  truths: readonly number[],
  probabilities: readonly (readonly number[])[],
  classes: number,
  classNames: readonly string[],
): ModelView {
  const nameOf = (label: number): string => classNames[label] ?? String(label);
  const best = probabilities.map((each) => each.indexOf(Math.max(...each)));
  const confusion = Array.from({ length: Math.min(classes, MAX_CONFUSION) }, () =>
    new Array<number>(Math.min(classes, MAX_CONFUSION)).fill(0),
  );
  const views = truths.map((truth, index): SampleView => {
    const label = best[index] ?? 0;
    const confidence = probabilities[index]?.[label] ?? 0;
    const row = confusion[truth];
    if (row?.[label] !== undefined) row[label]++;
    const isRight = label === truth;
    return {
      index,
      isRight,
      error: isRight ? 0 : confidence,
      truth: nameOf(truth),
      predicted: `${nameOf(label)}, ${formatPercent(confidence)}`,
    };
  });
  const right = views.filter(({ isRight }) => isRight).length;
  return {
    kind: 'classes',
    samples: views,
    text: `${right} of ${views.length} test samples right.`,
    confusion: classes <= MAX_CONFUSION ? confusion : null,
    classNames: Array.from({ length: Math.min(classes, MAX_CONFUSION) }, (_, label) => nameOf(label)),
    points: null,
  };
}

function valueView(truths: readonly number[], predictions: readonly number[]): ModelView {
  const errors = truths.map((truth, i) => Math.abs(truth - (predictions[i] ?? NaN)));
  const spread = Math.max(...truths) - Math.min(...truths);
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  return {
    kind: 'values',
    samples: truths.map((truth, index) => {
      const error = errors[index] ?? NaN;
      return {
        index,
        // Within a tenth of the range of all values.
        isRight: error <= spread / 10,
        error,
        truth: formatValue(truth),
        predicted: formatValue(predictions[index] ?? NaN),
      };
    }),
    text: `${truths.length} test samples, predicted with a mean error of ${formatValue(mean)}.`,
    confusion: null,
    classNames: [],
    points: truths.map((truth, i) => [truth, predictions[i] ?? NaN] as const),
  };
}

/** The samples that the model is most wrong about first; those that it is right about last. */
export const worstFirst = (samples: readonly SampleView[]): readonly SampleView[] =>
  [...samples].sort((a, b) => b.error - a.error || a.index - b.index);
