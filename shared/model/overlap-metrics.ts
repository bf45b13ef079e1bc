import { EPSILON } from './losses.ts';
import { at, largest, type MetricDefinition, type MetricOptions } from './metric.ts';

/** How an overlap takes classes from targets and outputs. */
interface OverlapForm {
  readonly options: MetricDefinition['options'];
  readonly required?: MetricDefinition['required'];
  /** Whether all classes count, not those of an option. */
  readonly isMean?: boolean;
  /** Whether targets and outputs have a value for each class, whatever the options. */
  readonly isOneHot?: boolean;
  /** Threshold from which on an output is class 1, if outputs are no class numbers. */
  readonly threshold?: (options: MetricOptions) => number;
}

/**
 * Intersection over union of targets and outputs of a class: for each class the number of rows with both, then of those with one or both.
 * Like Keras, it rounds classes and weights toward 0, and ignores rows of other classes.
 */
export function overlap({
  options,
  required = [],
  isMean,
  isOneHot,
  threshold,
}: OverlapForm): MetricDefinition {
  const hasValues = ({ sparseYPred = true }: MetricOptions): boolean => isOneHot ?? !sparseYPred;
  return {
    options,
    required,
    findProblem(given, { width }, isClass) {
      const { numClasses = 2, targetClassIds = [], sparseYTrue = true } = given;
      if (targetClassIds.some((id) => id >= numClasses)) return `has no class ${Math.max(...targetClassIds)}`;
      if (new Set(targetClassIds).size < targetClassIds.length) return 'has a class twice in targetClassIds';
      if (isOneHot === true || threshold !== undefined) return null;
      if (!hasValues(given)) {
        if (isClass)
          return `takes outputs that are class numbers, not ${width} values; set sparseYPred to false`;
        return sparseYTrue ? null : 'takes sparseYTrue false only with sparseYPred false';
      }
      return sparseYTrue && !isClass
        ? 'takes targets that are class numbers; set sparseYTrue to false'
        : null;
    },
    create: (given, { rows, width }) => {
      const { numClasses = 2, ignoreClass } = given;
      const ids =
        (isMean === true ? undefined : given.targetClassIds) ??
        Array.from({ length: numClasses }, (_, id) => id);
      const cells = new Map(ids.map((id, cell) => [id, cell]));
      const isRow = hasValues(given);
      const limit = threshold === undefined ? null : Math.fround(threshold(given));
      const isKnown = (id: number): boolean => id >= 0 && id < numClasses;
      return {
        sums: 2 * ids.length,
        kind: 'count',
        maxPerSample: isRow ? rows : rows * width,
        signedSums: 0,
        takesProbabilities: !isRow,
        add(sums, index, target, targetAt, output, outputAt, weight) {
          const counted = Math.trunc(weight);
          for (let i = 0; i < (isRow ? rows : rows * width); i++) {
            const [y, p] = isRow
              ? [largest(target, targetAt + i * width, width), largest(output, outputAt + i * width, width)]
              : [Math.trunc(at(target, targetAt + i)), at(output, outputAt + i)];
            const predicted = limit === null ? Math.trunc(p) : Number(p >= limit);
            if (!isKnown(y) || !isKnown(predicted) || y === ignoreClass) continue;
            const add = (first: number, id: number): void => {
              const cell = cells.get(id);
              if (cell !== undefined) sums[first + cell] = at(sums, first + cell) + counted;
            };
            if (y === predicted) add(index, y);
            else add(index + ids.length, predicted);
            add(index + ids.length, y);
          }
        },
        value(sums) {
          // Classes that neither targets nor outputs have do not count.
          const present = ids.map((_, i) => i).filter((i) => at(sums, ids.length + i) > 0);
          const ratios = present.map((i) => at(sums, i) / (at(sums, ids.length + i) + EPSILON));
          return ratios.reduce((a, b) => a + b, 0) / (present.length + EPSILON);
        },
      };
    },
  };
}
