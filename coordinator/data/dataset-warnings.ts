import { createHash } from 'node:crypto';
import type { Dataset, Split } from '../../shared/data/dataset.ts';

/** From this share of one class on, accuracy says little: always answering with it scores as much. */
const MAX_CLASS_FRACTION = 0.9;
/** Pixels above this are seen; images that have none were most likely scaled to 0 to 1 and rounded. */
const MIN_BRIGHTEST = 2;
const MAX_LISTED = 8;
/** Test samples that are looked for among the training samples, spread over all of them. */
const MAX_SAMPLES_CHECKED = 1000;
/** A few images are in both splits of many data sets. */
const MAX_DUPLICATE_FRACTION = 0.1;

/**
 * A line for each thing about a data set by which training runs well and misleads. Training labels that are sorted are
 * none: each epoch visits the samples in an order of its own. A limit that takes the first of them is.
 *
 * @param limited whether only the first training samples are taken
 */
export function describeDatasetProblems(dataset: Dataset, limited = false): string[] {
  const { train, test, classes } = dataset;
  const inTrain = countLabels(train, classes);
  const inTest = countLabels(test, classes);
  const because = limited
    ? ' The limit takes the first samples, which may be sorted by class: raise it.'
    : '';
  const never = classesWhere(inTrain, (count, label) => count === 0 && (inTest[label] ?? 0) > 0);
  const nowhere = classesWhere(inTrain, (count, label) => count === 0 && inTest[label] === 0);
  const lines: string[] = describeTransposition(dataset);
  if (never.length > 0) {
    const samples = never.reduce((sum, label) => sum + (inTest[label] ?? 0), 0);
    lines.push(
      `${formatClasses(never)} in the test set (${samples} of ${test.count} samples) but not in the training set, so the model cannot learn ${never.length === 1 ? 'it' : 'them'}.${because}`,
    );
  }
  if (nowhere.length > 0) {
    lines.push(
      `${formatClasses(nowhere, 'has', 'have')} no sample: of the model's ${classes} outputs, ${nowhere.length} cannot be learned.${nowhere.length === 1 && nowhere[0] === 0 ? ' The labels seem to be counted from 1.' : ''}`,
    );
  }
  lines.push(
    ...imbalanceWarnings('training', inTrain, train.count, because),
    ...imbalanceWarnings('test', inTest, test.count, ''),
  );
  const shared = duplicateFraction(dataset);
  if (shared > MAX_DUPLICATE_FRACTION) {
    const percent = Math.floor(100 * shared);
    lines.push(`${percent}% of the test images are training images too, so accuracy on new ones is lower.`);
  }
  if (!train.images.some((pixel) => pixel >= MIN_BRIGHTEST)) {
    lines.push('No pixel is brighter than 1 of 255, so all images are nearly black. Scale them to 0 to 255.');
  }
  return lines;
}

/** A line where images seem to lie on their side. */
export function describeTransposition({ looksTransposed, isTransposed }: Dataset): string[] {
  return looksTransposed === true && isTransposed !== true
    ? ['The names say EMNIST, whose images are stored transposed. --transpose turns them upright.']
    : [];
}

function imbalanceWarnings(
  split: string,
  counts: readonly number[],
  total: number,
  because: string,
): string[] {
  const most = Math.max(...counts);
  const label = counts.indexOf(most);
  if (most === total) {
    return [`All ${split} samples are of class ${label}, so the accuracy says nothing.${because}`];
  }
  if (most < MAX_CLASS_FRACTION * total) return [];
  const percent = Math.floor((1000 * most) / total) / 10;
  return [
    `${percent}% of the ${split} samples are of class ${label}: answering nothing else scores that accuracy.${because}`,
  ];
}

/** The part of the test images that are among the training images. */
function duplicateFraction({ train, test }: Dataset): number {
  const hashOf = ({ images, count }: Split, sample: number): string => {
    const bytes = images.length / count;
    return createHash('sha1')
      .update(images.subarray(sample * bytes, (sample + 1) * bytes))
      .digest('base64');
  };
  const known = new Set(Array.from({ length: train.count }, (_, sample) => hashOf(train, sample)));
  const sought = Math.min(test.count, MAX_SAMPLES_CHECKED);
  const samples = Array.from({ length: sought }, (_, i) => Math.floor((i * test.count) / sought));
  return samples.filter((sample) => known.has(hashOf(test, sample))).length / sought;
}

function countLabels({ labels }: Split, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}

function classesWhere(counts: readonly number[], isOne: (count: number, label: number) => boolean): number[] {
  return [...counts.keys()].filter((label) => isOne(counts[label] ?? 0, label));
}

function formatClasses(labels: readonly number[], one = 'is', several = 'are'): string {
  const listed = labels.slice(0, MAX_LISTED).join(', ');
  const more = labels.length > MAX_LISTED ? ` and ${labels.length - MAX_LISTED} more` : '';
  return labels.length === 1 ? `Class ${listed} ${one}` : `Classes ${listed}${more} ${several}`;
}
