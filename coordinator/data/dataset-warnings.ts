import { createHash } from 'node:crypto';
import { asImages, type Dataset, type ImageDataset, type LabeledImages } from '../../shared/data/dataset.ts';

/** With this fraction of samples in one class, accuracy says little: a constant answer scores as much. */
const MAX_CLASS_FRACTION = 0.9;
/** Images without a pixel this bright were most likely scaled to 0 to 1 and rounded. */
const MIN_BRIGHTEST = 2;
const MAX_LISTED = 8;
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
  const images = asImages(dataset);
  return images === null ? [] : describeImageProblems(images, limited);
}

function describeImageProblems(dataset: ImageDataset, limited: boolean): string[] {
  const { train, test, classes } = dataset;
  const trainCounts = countLabels(train, classes);
  const testCounts = countLabels(test, classes);
  const limitAdvice = limited
    ? ' The limit takes the first samples, which may be sorted by class: raise it.'
    : '';
  const testOnly = filterClasses(trainCounts, (count, label) => count === 0 && (testCounts[label] ?? 0) > 0);
  const empty = filterClasses(trainCounts, (count, label) => count === 0 && testCounts[label] === 0);
  const lines: string[] = describeTransposition(dataset);
  if (testOnly.length > 0) {
    const samples = testOnly.reduce((sum, label) => sum + (testCounts[label] ?? 0), 0);
    lines.push(
      `${formatClasses(testOnly)} in the test set (${samples} of ${test.count} samples) but not in the training set, so the model cannot learn ${testOnly.length === 1 ? 'it' : 'them'}.${limitAdvice}`,
    );
  }
  if (empty.length > 0) {
    lines.push(
      `${formatClasses(empty, 'has', 'have')} no sample: of the model's ${classes} outputs, ${empty.length} cannot be learned.${empty.length === 1 && empty[0] === 0 ? ' The labels seem to be counted from 1.' : ''}`,
    );
  }
  lines.push(
    ...imbalanceWarnings('training', trainCounts, train.count, limitAdvice),
    ...imbalanceWarnings('test', testCounts, test.count, ''),
  );
  const duplicates = duplicateFraction(dataset);
  if (duplicates > MAX_DUPLICATE_FRACTION) {
    const percent = Math.floor(100 * duplicates);
    lines.push(`${percent}% of the test images are training images too, so accuracy on new images is lower.`);
  }
  if (!train.images.some((pixel) => pixel >= MIN_BRIGHTEST)) {
    lines.push('No pixel is brighter than 1 of 255, so all images are nearly black. Scale them to 0 to 255.');
  }
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
): string[] {
  const largest = Math.max(...counts);
  const label = counts.indexOf(largest);
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

function countLabels({ labels }: LabeledImages, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}

function filterClasses(
  counts: readonly number[],
  matches: (count: number, label: number) => boolean,
): number[] {
  return [...counts.keys()].filter((label) => matches(counts[label] ?? 0, label));
}

function formatClasses(labels: readonly number[], singular = 'is', plural = 'are'): string {
  const listed = labels.slice(0, MAX_LISTED).join(', ');
  const more = labels.length > MAX_LISTED ? ` and ${labels.length - MAX_LISTED} more` : '';
  return labels.length === 1 ? `Class ${listed} ${singular}` : `Classes ${listed}${more} ${plural}`;
}
