import { createHash } from 'node:crypto';
import {
  asImages,
  isLazy,
  type Dataset,
  type ImageDataset,
  type LabeledImages,
  type Split,
} from '../../shared/data/dataset.ts';

/** With this fraction of samples in one class, accuracy says little: a constant answer scores as much. */
const MAX_CLASS_FRACTION = 0.9;
/** Images without a pixel this bright were most likely scaled to 0 to 1 and rounded. */
export const MIN_BRIGHTEST = 2;
export const NEARLY_BLACK =
  'No pixel is brighter than 1 of 255, so all images are nearly black. Scale them to 0 to 255.';
const MAX_LISTED = 8;
/** A list of more counts would not be read. */
const MAX_COUNTED_CLASSES = 50_000;
/** Number of test samples that are compared with the training samples, spread over the test set. */
const MAX_SAMPLES_CHECKED = 1000;
/** In many data sets a few images are in both splits. */
const MAX_DUPLICATE_FRACTION = 0.1;

/**
 * A line for each property of a data set that lets training succeed with misleading results. Sorted training labels are
 * harmless by themselves, since each epoch is shuffled; a limit that takes the first of them is not.
 *
 * @param limited whether a limit takes the first training samples only
 */
export function describeDatasetProblems(dataset: Dataset, limited = false): string[] {
  const labels = labelCounts(dataset);
  const images = asImages(dataset);
  return [
    ...describeTransposition(dataset),
    ...(labels === null ? [] : describeLabelProblems(labels, dataset, limited)),
    ...describeDuplicates(dataset),
    ...(images === null ? [] : describeImageProblems(images)),
  ];
}

/** Number of samples of each class in both parts. */
export interface LabelCounts {
  readonly train: readonly number[];
  readonly test: readonly number[];
}

/** Counts the samples of each class of the first target; null if it is no class, or is not known before samples are read. */
export function labelCounts({ targets: [target], train, test, preprocessing }: Dataset): LabelCounts | null {
  // The next word of a text is no class of samples that have to be balanced.
  if (preprocessing?.kind === 'text' && preprocessing.targets === undefined) return null;
  if (target?.classes === undefined || target.shape.length > 0 || target.classes > MAX_COUNTED_CLASSES)
    return null;
  const { classes } = target;
  const count = (split: Split): number[] | null => {
    const labels = isLazy(split) ? split.labels : split.targets[0];
    if (labels === undefined) return null;
    const counts = new Array<number>(classes).fill(0);
    for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
    return counts;
  };
  const trainCounts = count(train);
  const testCounts = count(test);
  return trainCounts === null || testCounts === null ? null : { train: trainCounts, test: testCounts };
}

function describeLabelProblems(
  { train: trainCounts, test: testCounts }: LabelCounts,
  { train, test, classNames }: Dataset,
  limited: boolean,
): string[] {
  const classes = trainCounts.length;
  const limitAdvice = limited
    ? ' The limit takes the first samples, which may be sorted by class: raise it.'
    : '';
  const testOnly = filterClasses(trainCounts, (count, label) => count === 0 && (testCounts[label] ?? 0) > 0);
  const empty = filterClasses(trainCounts, (count, label) => count === 0 && testCounts[label] === 0);
  const lines: string[] = [];
  if (testOnly.length > 0) {
    const samples = testOnly.reduce((sum, label) => sum + (testCounts[label] ?? 0), 0);
    lines.push(
      `${formatClasses(testOnly, classNames)} in the test set (${samples} of ${test.count} samples) but not in the training set, so the model cannot learn ${testOnly.length === 1 ? 'it' : 'them'}.${limitAdvice}`,
    );
  }
  if (empty.length > 0) {
    lines.push(
      `${formatClasses(empty, classNames, 'has', 'have')} no sample: of the model's ${classes} outputs, ${empty.length} cannot be learned.${empty.length === 1 && empty[0] === 0 ? ' The labels seem to be counted from 1.' : ''}`,
    );
  }
  lines.push(
    ...imbalanceWarnings('training', trainCounts, train.count, limitAdvice, classNames),
    ...imbalanceWarnings('test', testCounts, test.count, '', classNames),
  );
  return lines;
}

/** A line if many test images in memory are training images too. */
export function describeDuplicates(dataset: Dataset): string[] {
  const images = asImages(dataset);
  const duplicates = images === null ? 0 : duplicateFraction(images);
  if (duplicates <= MAX_DUPLICATE_FRACTION) return [];
  const percent = Math.floor(100 * duplicates);
  return [`${percent}% of the test images are training images too, so accuracy on new images is lower.`];
}

function describeImageProblems(dataset: ImageDataset): string[] {
  const lines: string[] = [];
  if (!dataset.train.images.some((pixel) => pixel >= MIN_BRIGHTEST)) lines.push(NEARLY_BLACK);
  return lines;
}

/** A line if images seem to be stored transposed. */
export function describeTransposition({
  looksTransposed,
  isTransposed,
}: Pick<Dataset, 'looksTransposed' | 'isTransposed'>): string[] {
  return looksTransposed === true && isTransposed !== true
    ? ['The names say EMNIST, whose images are stored transposed. --transpose turns them upright.']
    : [];
}

function imbalanceWarnings(
  split: string,
  counts: readonly number[],
  total: number,
  limitAdvice: string,
  classNames: readonly string[] | undefined,
): string[] {
  const largest = counts.reduce((max, count) => Math.max(max, count), 0);
  const index = counts.indexOf(largest);
  const label = classNames?.[index] ?? index;
  if (largest === total) {
    return [`All ${split} samples are of class ${label}, so the accuracy says nothing.${limitAdvice}`];
  }
  if (largest < MAX_CLASS_FRACTION * total) return [];
  const percent = Math.floor((1000 * largest) / total) / 10;
  return [
    `${percent}% of the ${split} samples are of class ${label}: a model that always answers ${label} has that accuracy.${limitAdvice}`,
  ];
}

/** Fraction of the test images that are training images too. */
function duplicateFraction({ train, test }: ImageDataset): number {
  const hashOf = ({ images, count }: LabeledImages, sample: number): string => {
    const bytes = images.length / count;
    return createHash('sha1')
      .update(images.subarray(sample * bytes, (sample + 1) * bytes))
      .digest('base64');
  };
  const trainHashes = new Set(Array.from({ length: train.count }, (_, sample) => hashOf(train, sample)));
  const checked = Math.min(test.count, MAX_SAMPLES_CHECKED);
  const samples = Array.from({ length: checked }, (_, i) => Math.floor((i * test.count) / checked));
  return samples.filter((sample) => trainHashes.has(hashOf(test, sample))).length / checked;
}

function filterClasses(
  counts: readonly number[],
  matches: (count: number, label: number) => boolean,
): number[] {
  return [...counts.keys()].filter((label) => matches(counts[label] ?? 0, label));
}

function formatClasses(
  labels: readonly number[],
  classNames: readonly string[] | undefined,
  singular = 'is',
  plural = 'are',
): string {
  const listed = labels
    .slice(0, MAX_LISTED)
    .map((label) => classNames?.[label] ?? label)
    .join(', ');
  const more = labels.length > MAX_LISTED ? ` and ${labels.length - MAX_LISTED} more` : '';
  return labels.length === 1 ? `Class ${listed} ${singular}` : `Classes ${listed}${more} ${plural}`;
}
