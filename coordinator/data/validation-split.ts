import { createHash } from 'node:crypto';
import { isLazy, readSamples, type Dataset, type Split } from '../../shared/data/dataset.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';

/** Numbers of the samples in each part, ascending. */
export interface SplitNumbers {
  readonly train: Uint32Array;
  readonly test: Uint32Array;
}

/**
 * Divides samples at random, so that each class has about the same fraction in both parts. Every class is in the training
 * part. Rounding goes in favor of classes that the test part lacks.
 *
 * @param labels class of each sample; the same one for all if there are no classes
 * @param fraction part of the samples that is for testing, above 0 and below 1
 * @param seed the same seed gives the same parts
 * @throws RangeError if the fraction is not between 0 and 1, or if a part would be empty
 * @example
 * ```ts
 * const { train, test } = stratifiedSplit(labels, 0.2, 1337);
 * ```
 */
export function stratifiedSplit(labels: ArrayLike<number>, fraction: number, seed: number): SplitNumbers {
  if (!(fraction > 0 && fraction < 1)) {
    throw new RangeError(`A validation split is a number between 0 and 1; this one is ${fraction}.`);
  }
  const groups = groupByClass(labels);
  const isTest = new Uint8Array(labels.length);
  const counts = testCounts(
    groups.map(({ length }) => length),
    fraction,
  );
  const testCount = counts.reduce((sum, count) => sum + count, 0);
  if (testCount === 0 || testCount === labels.length) {
    throw new RangeError(
      `${labels.length} ${labels.length === 1 ? 'sample' : 'samples'} cannot be divided into a training part and a test part of ${fraction}. Use more samples, or name a file of test samples.`,
    );
  }
  for (const [i, numbers] of groups.entries()) {
    const stream = randomStream(seed, Purpose.validationSplit, i);
    const count = counts[i] ?? 0;
    // The first `count` places of a Fisher-Yates shuffle.
    for (let place = 0; place < count; place++) {
      const from = place + stream.below(numbers.length - place);
      const chosen = numbers[from] as number;
      numbers[from] = numbers[place] as number;
      isTest[chosen] = 1;
    }
  }
  const train = new Uint32Array(labels.length - testCount);
  const test = new Uint32Array(testCount);
  let trainLength = 0;
  let testLength = 0;
  for (let sample = 0; sample < labels.length; sample++) {
    if (isTest[sample] === 1) test[testLength++] = sample;
    else train[trainLength++] = sample;
  }
  return { train, test };
}

/** Numbers of the samples of each class, by ascending class. */
function groupByClass(labels: ArrayLike<number>): number[][] {
  const groups = new Map<number, number[]>();
  for (let sample = 0; sample < labels.length; sample++) {
    const label = labels[sample] as number;
    const group = groups.get(label);
    if (group === undefined) groups.set(label, [sample]);
    else group.push(sample);
  }
  return [...groups].toSorted(([a], [b]) => a - b).map(([, numbers]) => numbers);
}

/** Number of test samples of each class: the largest remainders are rounded up, so that the sum is the fraction of all. */
function testCounts(sizes: readonly number[], fraction: number): number[] {
  const samples = sizes.reduce((sum, size) => sum + size, 0);
  const counts = sizes.map((size) => (size === 1 ? 0 : Math.min(size - 1, Math.floor(size * fraction))));
  let missing = Math.round(samples * fraction) - counts.reduce((sum, count) => sum + count, 0);
  const byRemainder = [...sizes.keys()].toSorted((a, b) => {
    const remainder = (i: number): number => (sizes[i] as number) * fraction - (counts[i] as number);
    const isEmpty = (i: number): number => Number(counts[i] === 0);
    return isEmpty(b) - isEmpty(a) || remainder(b) - remainder(a) || a - b;
  });
  for (const i of byRemainder) {
    if (missing <= 0) break;
    if ((counts[i] as number) + 1 >= (sizes[i] as number)) continue;
    counts[i] = (counts[i] as number) + 1;
    missing--;
  }
  return counts;
}

/**
 * Data set whose training samples are divided by stratifiedSplit into training and test samples; its own test samples are left out.
 * Names of classes and all else stay as they are.
 *
 * @throws RangeError like stratifiedSplit
 * @example
 * ```ts
 * const divided = withValidationSplit(dataset, 0.2, 1337);
 * ```
 */
export function withValidationSplit(dataset: Omit<Dataset, 'test'>, fraction: number, seed: number): Dataset {
  const { train: whole } = dataset;
  const parts = stratifiedSplit(labelsOf(dataset) ?? new Uint8Array(whole.count), fraction, seed);
  return { ...dataset, train: subset(whole, parts.train), test: subset(whole, parts.test) };
}

/** Class of each training sample; null if samples have none, or it is not known before they are read. */
function labelsOf({
  train,
  targets: [target],
}: Pick<Dataset, 'train' | 'targets'>): ArrayLike<number> | null {
  if (isLazy(train)) return train.labels ?? null;
  return target?.classes !== undefined && target.shape.length === 0 ? (train.targets[0] ?? null) : null;
}

/** Some samples of a split, by their numbers. */
function subset(split: Split, numbers: Uint32Array): Split {
  if (!isLazy(split)) {
    const { sampleNumbers, ...tensors } = readSamples(split, numbers);
    return { ...tensors, count: sampleNumbers.length };
  }
  const { labels, digest } = split;
  const pick = <Labels extends Uint8Array | Int32Array>(values: Labels): Labels => {
    const picked = values.slice(0, numbers.length) as Labels;
    numbers.forEach((number, i) => (picked[i] = values[number] as number));
    return picked;
  };
  return {
    ...split,
    ...(labels === undefined ? {} : { labels: pick(labels) }),
    count: numbers.length,
    digest: createHash('sha256').update(digest).update(numbers).digest('hex'),
    async read(sampleNumbers) {
      const shard = await split.read(sampleNumbers.map((sample) => numbers[sample] as number));
      return { ...shard, sampleNumbers };
    },
  };
}
