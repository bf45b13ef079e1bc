import { createHash } from 'node:crypto';
import { isLazy, readSamples, type Dataset, type Split } from '../../shared/data/dataset.ts';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import type { Shard } from '../../shared/data/shard.ts';
import { sampleSize, type TensorSpec, type TensorValues } from '../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import {
  describeDatasetProblems,
  describeDuplicates,
  labelCounts,
  MIN_BRIGHTEST,
  NEARLY_BLACK,
} from './dataset-warnings.ts';
import { besideEachOther, drawImage, drawnWidth, isDrawable } from './draw-sample.ts';

/** Samples that are read of each part, spread over it. */
const MAX_TRAIN_SAMPLES = 1000;
const MAX_TEST_SAMPLES = 400;
/** Bytes of samples that are read of each part. */
const MAX_BYTES = 2 ** 27;
const MAX_CLASSES_LISTED = 24;
const MAX_COLUMNS_LISTED = 8;
const MAX_VALUES = 8;
const SAMPLES_DRAWN = 4;
/** A class with so many times the samples of another one. */
const MAX_IMBALANCE = 10;

export interface DescribeOptions {
  /** Whether to draw with colors and blocks. */
  readonly inColor: boolean;
  readonly columns: number;
}

interface Sampled {
  readonly train: Shard;
  readonly test: Shard;
}

/**
 * Lines that say how a data set was understood: parts, tensors, classes, ranges, a few samples; and what may go wrong. Some samples are
 * read, spread over both parts.
 *
 * @throws DataError if a sample cannot be read
 */
export async function describeDataset(dataset: Dataset, options: DescribeOptions): Promise<string[]> {
  const { name, train, test, inputs, targets } = dataset;
  const sampled: Sampled = {
    train: await readSamples(train, spread(train.count, limitOf(dataset, MAX_TRAIN_SAMPLES))),
    test: await readSamples(test, spread(test.count, limitOf(dataset, MAX_TEST_SAMPLES))),
  };
  const part = (title: string, split: Split): string =>
    `  ${title.padEnd(10)} ${split.count} samples${isLazy(split) ? ', read when they are needed' : ', in memory'}`;
  const tensor = (kind: string, spec: TensorSpec): string => `  ${kind.padEnd(10)} ${describeTensor(spec)}`;
  const problems = [...describeDatasetProblems(dataset), ...describeSampledProblems(dataset, sampled)];
  return [
    `${name}: ${dataset.description}`,
    part('train', train),
    part('validate', test),
    ...inputs.map((spec) => tensor('input', spec)),
    ...targets.map((spec) => tensor('target', spec)),
    ...describePreprocessing(dataset.preprocessing),
    ...describeClasses(dataset),
    ...describeRanges(dataset, sampled),
    ...drawSamples(dataset, sampled.train, options),
    ...(problems.length === 0
      ? ['Nothing was found that would mislead.']
      : ['What may go wrong:', ...problems.map((line) => `! ${line}`)]),
  ];
}

/** Number of samples that stay below MAX_BYTES. */
function limitOf({ inputs }: Dataset, samples: number): number {
  const bytes = inputs.reduce((sum, spec) => sum + 4 * sampleSize(spec), 0);
  return Math.max(1, Math.min(samples, Math.floor(MAX_BYTES / bytes)));
}

/** Sample numbers, spread evenly. */
function spread(count: number, limit: number): Uint32Array {
  const length = Math.min(count, limit);
  return Uint32Array.from({ length }, (_, i) => Math.floor((i * count) / length));
}

function describeTensor({ name, shape, dtype, classes, scale, offset }: TensorSpec): string {
  const values = classes === undefined ? dtype : `class from 0 to ${classes - 1}`;
  const scaling =
    scale === undefined && offset === undefined
      ? ''
      : `, times ${format(scale ?? 1)}${offset === undefined || offset === 0 ? '' : ` plus ${format(offset)}`}`;
  return `${name} ${shape.length === 0 ? 'of one value' : `[${shape.join(', ')}]`}, ${values}${scaling}`;
}

function describePreprocessing(preprocessing: Preprocessing | undefined): string[] {
  switch (preprocessing?.kind) {
    case 'image':
      return [
        `  images     ${preprocessing.size.join(' x ')}, ${preprocessing.channels} ${preprocessing.channels === 1 ? 'channel' : 'channels'}, fit by ${preprocessing.fit}`,
      ];
    case 'table': {
      const shown = preprocessing.columns
        .slice(0, MAX_COLUMNS_LISTED)
        .map(({ name, type }) => `${sanitizeForTerminal(name)} (${type})`);
      return [`  columns    ${shown.join(', ')}${more(preprocessing.columns.length, MAX_COLUMNS_LISTED)}`];
    }
    case 'text':
      return [`  text       ${preprocessing.length} tokens a sample, by ${preprocessing.tokenizer.kind}`];
    case undefined:
      return [];
  }
}

function describeClasses(dataset: Dataset): string[] {
  const counts = labelCounts(dataset);
  if (counts === null) return [];
  const { classNames } = dataset;
  const rows = counts.train.slice(0, MAX_CLASSES_LISTED).map((count, label) => {
    const name = sanitizeForTerminal(classNames?.[label] ?? `${label}`);
    return [`  ${name}`, `${count}`, `${counts.test[label] ?? 0}`];
  });
  const header = ['Classes', 'train', 'validate'];
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = ([first = '', ...others]: readonly string[]): string =>
    [first.padEnd(widths[0] ?? 0), ...others.map((cell, i) => cell.padStart(widths[i + 1] ?? 0))].join('  ');
  const left = counts.train.length - rows.length;
  return [line(header), ...rows.map(line), ...(left > 0 ? [`  and ${left} more`] : [])];
}

function describeRanges({ inputs, targets }: Dataset, { train }: Sampled): string[] {
  const samples = train.sampleNumbers.length;
  const lines = [
    ...inputs.map((spec, i) => [spec, train.inputs[i]] as const),
    ...targets.map((spec, i) => [spec, train.targets[i]] as const),
  ].flatMap(([spec, values]) => {
    if (values === undefined || spec.classes !== undefined) return [];
    const { min, max, mean } = rangeOf(values);
    return [`  ${spec.name} from ${format(min)} to ${format(max)}, mean ${format(mean)}`];
  });
  return lines.length === 0 ? [] : [`Ranges of ${samples} samples, as stored`, ...lines];
}

function rangeOf(values: TensorValues): { min: number; max: number; mean: number } {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  return { min, max, mean: sum / values.length };
}

function drawSamples(dataset: Dataset, train: Shard, { inColor, columns }: DescribeOptions): string[] {
  const {
    inputs: [spec],
  } = dataset;
  const [values] = train.inputs;
  if (spec === undefined || values === undefined) return [];
  const size = sampleSize(spec);
  const chosen = chooseSamples(dataset, train);
  const valuesOf = (sample: number): TensorValues => values.subarray(sample * size, (sample + 1) * size);
  const titleOf = (sample: number): string => describeTarget(dataset, train, sample);
  if (!isDrawable(spec)) {
    return [
      'Samples',
      ...chosen.map((sample) => {
        const shown = Array.from(valuesOf(sample).subarray(0, MAX_VALUES), format).join(', ');
        return `  [${shown}${size > MAX_VALUES ? ', ...' : ''}]  ${titleOf(sample)}`.slice(
          0,
          Math.max(20, columns),
        );
      }),
    ];
  }
  const width = Math.max(drawnWidth(spec), 12);
  const fitting = chosen.slice(0, Math.max(1, Math.floor((columns + 2) / (width + 2))));
  const titles = fitting.map((sample) => [titleOf(sample).slice(0, width)]);
  const drawings = fitting.map((sample) => {
    const lines = drawImage(spec, valuesOf(sample), inColor);
    return inColor ? lines.map((line) => line + ' '.repeat(width - drawnWidth(spec))) : lines;
  });
  return ['Samples', ...besideEachOther(titles, width, false), ...besideEachOther(drawings, width, inColor)];
}

/** Positions of a few samples, of different classes if there are some. */
function chooseSamples(
  { targets: [target] }: Dataset,
  { sampleNumbers, targets: [labels] }: Shard,
): number[] {
  const all = Array.from(sampleNumbers.keys());
  const isClass = target?.classes !== undefined && target.shape.length === 0;
  const first = isClass ? all.filter((i) => labels?.indexOf(labels[i] as number) === i) : [];
  return [...new Set([...first, ...all])].slice(0, SAMPLES_DRAWN);
}

function describeTarget(
  { targets: [spec], classNames }: Dataset,
  { targets: [values] }: Shard,
  sample: number,
): string {
  if (spec === undefined || values === undefined) return '';
  const size = sampleSize(spec);
  const own = values.subarray(sample * size, (sample + 1) * size);
  const [label = 0] = own;
  if (spec.classes !== undefined && size === 1)
    return sanitizeForTerminal(classNames?.[label] ?? `class ${label}`);
  return `${spec.name} ${Array.from(own.subarray(0, MAX_VALUES), format).join(', ')}`;
}

/** Lines about problems that show in the samples that were read. */
function describeSampledProblems(dataset: Dataset, sampled: Sampled): string[] {
  return [
    ...describeImbalance(dataset),
    ...(describeDuplicates(dataset).length > 0 ? [] : describeLeak(dataset, sampled)),
    ...describeConstants(dataset, sampled.train),
    ...describeDarkness(dataset, sampled.train),
  ];
}

function describeImbalance(dataset: Dataset): string[] {
  const counts = labelCounts(dataset)?.train.map((count, label) => ({ count, label })) ?? [];
  const present = counts.filter(({ count }) => count > 0).toSorted((a, b) => a.count - b.count);
  const [rarest] = present;
  const commonest = present.at(-1);
  if (rarest === undefined || commonest === undefined || commonest.count < MAX_IMBALANCE * rarest.count)
    return [];
  const name = (label: number): string => sanitizeForTerminal(dataset.classNames?.[label] ?? `${label}`);
  return [
    `Class ${name(commonest.label)} has ${commonest.count} training samples, class ${name(rarest.label)} ${rarest.count}. --class-weights gives rare classes more weight.`,
  ];
}

/** Lines about test samples that are training samples too; whole data sets in memory are compared elsewhere. */
function describeLeak({ train, inputs }: Dataset, sampled: Sampled): string[] {
  // Rows of a few numbers are often alike without being the same thing.
  if (inputs.every((spec) => sampleSize(spec) < MIN_LEAK_VALUES)) return [];
  const hashes = (shard: Shard): string[] => Array.from(shard.sampleNumbers, (_, i) => hashSample(shard, i));
  const known = new Set(hashes(sampled.train));
  const found = hashes(sampled.test).filter((hash) => known.has(hash)).length;
  if (found === 0) return [];
  const compared = sampled.train.sampleNumbers.length;
  const of =
    compared < train.count ? `${compared} of ${train.count} training samples` : `the training samples`;
  return [
    `${found} of ${sampled.test.sampleNumbers.length} validation samples are among ${of} too, so accuracy on new samples is lower.`,
  ];
}

const MIN_LEAK_VALUES = 16;

function hashSample({ inputs, sampleNumbers }: Shard, sample: number): string {
  const hash = createHash('sha1');
  for (const values of inputs) {
    const size = values.length / sampleNumbers.length;
    const own = values.subarray(sample * size, (sample + 1) * size);
    hash.update(new Uint8Array(own.buffer, own.byteOffset, own.byteLength));
  }
  return hash.digest('base64');
}

/** Lines about elements of inputs that have one value in all samples. */
function describeConstants(
  { inputs, preprocessing }: Dataset,
  { inputs: read, sampleNumbers }: Shard,
): string[] {
  const samples = sampleNumbers.length;
  if (samples < 2) return [];
  return inputs.flatMap((spec, i) => {
    const values = read[i];
    if (values === undefined || spec.classes !== undefined) return [];
    const size = sampleSize(spec);
    const constant: number[] = [];
    for (let element = 0; element < size; element++) {
      let sample = 1;
      while (sample < samples && values[sample * size + element] === values[element]) sample++;
      if (sample === samples) constant.push(element);
    }
    if (constant.length === 0) return [];
    if (isDrawable(spec)) {
      const percent = Math.floor((100 * constant.length) / size);
      return percent < 100 ? [] : [`All images that were read are the same.`];
    }
    const names = constant
      .slice(0, MAX_COLUMNS_LISTED)
      .map((element) => columnName(element, size, preprocessing));
    return [
      `${spec.name} has the same value in all ${samples} samples that were read, at ${names.join(', ')}${more(constant.length, MAX_COLUMNS_LISTED)}: it tells nothing.`,
    ];
  });
}

/** Column of a table that makes an element of its input, or the element's number. */
function columnName(element: number, size: number, preprocessing: Preprocessing | undefined): string {
  const columns = preprocessing?.kind === 'table' ? preprocessing.columns : [];
  const names = columns.flatMap((column) =>
    column.type === 'number' ? [column.name] : column.values.map((value) => `${column.name} = ${value}`),
  );
  const name = names.length === size ? names[element] : undefined;
  return name === undefined ? `${element}` : sanitizeForTerminal(name);
}

/** A line if images are nearly black; those in memory are looked at as a whole elsewhere. */
function describeDarkness({ inputs, train }: Dataset, { inputs: read }: Shard): string[] {
  if (!isLazy(train)) return [];
  const isDark = inputs.some(
    (spec, i) => isDrawable(spec) && read[i]?.some((value) => value >= MIN_BRIGHTEST) === false,
  );
  return isDark ? [NEARLY_BLACK] : [];
}

const format = (value: number): string => String(Number(value.toPrecision(4)));
const more = (count: number, listed: number): string => (count > listed ? ` and ${count - listed} more` : '');
