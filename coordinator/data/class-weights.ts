import { DataError } from '../../shared/data/data-error.ts';
import { isLazy, transformSplit, type Dataset } from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';

/** Weights of samples by their class; other classes have 1. */
export type ClassWeights = Readonly<Record<string, number>>;

/**
 * Data set whose training samples have the weights of their classes, as Keras' class_weight. Test samples count equally.
 * @throws DataError if the samples have no single class, or a weight is for a class that there is not
 */
export function withClassWeights(dataset: Dataset, classWeights: ClassWeights): Dataset {
  const { name, targets, train } = dataset;
  const [target, ...others] = targets;
  if (target?.classes === undefined || target.shape.length > 0 || others.length > 0) {
    throw new DataError(`Class weights need one class for each sample, which ${name} does not have.`);
  }
  const { classes } = target;
  const unknown = Object.keys(classWeights).find((label) => Number(label) >= classes);
  if (unknown !== undefined) {
    throw new DataError(
      `There is a weight for class ${unknown}, but ${name} has the classes 0 to ${classes - 1}.`,
    );
  }
  const withWeights = <Samples extends Omit<Shard, 'sampleNumbers'>>(samples: Samples): Samples => ({
    ...samples,
    weights: Float32Array.from(
      samples.targets[0] ?? [],
      (label, i) => (samples.weights?.[i] ?? 1) * (classWeights[String(label)] ?? 1),
    ),
  });
  const weighted = isLazy(train)
    ? { ...transformSplit(train, JSON.stringify(classWeights), withWeights), hasWeights: true }
    : withWeights(train);
  return { ...dataset, train: weighted };
}
