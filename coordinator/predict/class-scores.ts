import { csvRow } from './write-predictions.ts';

/** Scores of one class, as scikit-learn's classification_report has them with zero_division=0. */
export interface ClassScore {
  readonly name: string;
  /** Part of the samples predicted as this class that are of it; 0 if none was. */
  readonly precision: number;
  /** Part of the samples of this class that were predicted as it; 0 if there are none. */
  readonly recall: number;
  /** Harmonic mean of both; 0 if both are. */
  readonly f1: number;
  /** Samples of this class. */
  readonly support: number;
}

export interface ClassReport {
  readonly accuracy: number;
  readonly classes: readonly ClassScore[];
  /** Mean of the classes that have samples or predictions. */
  readonly macro: Omit<ClassScore, 'name'>;
  /** Mean weighted by support. */
  readonly weighted: Omit<ClassScore, 'name'>;
  /** matrix[actual][predicted]: number of samples. */
  readonly matrix: readonly (readonly number[])[];
}

/** Classes of which a matrix is counted: its size is their square. */
export const MAX_MATRIX_CLASSES = 2000;
/** Columns of a terminal. */
const WIDTH = 80;
const MAX_NAME = 20;
const MAX_PAIRS = 10;
/** Classes that are listed one by one. */
const MAX_LISTED = 40;

/**
 * Counts predictions of classes.
 * @example
 * ```ts
 * const counts = new ConfusionMatrix(['cat', 'dog']);
 * counts.add(0, 1); // A cat that was taken for a dog.
 * console.log(counts.report().classes[0].recall); // 0
 * ```
 */
export class ConfusionMatrix {
  readonly #names: readonly string[];
  readonly #counts: Float64Array;

  constructor(names: readonly string[]) {
    if (names.length > MAX_MATRIX_CLASSES)
      throw new RangeError(`A matrix of ${names.length} classes is too large.`);
    this.#names = names;
    this.#counts = new Float64Array(names.length ** 2);
  }

  add(actual: number, predicted: number): void {
    const index = actual * this.#names.length + predicted;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  report(): ClassReport {
    const size = this.#names.length;
    const matrix = this.#names.map((_, actual) => [
      ...this.#counts.subarray(actual * size, (actual + 1) * size),
    ]);
    const total = this.#counts.reduce((sum, count) => sum + count, 0);
    const predicted = this.#names.map((_, label) => matrix.reduce((sum, row) => sum + (row[label] ?? 0), 0));
    const classes = this.#names.map((name, label): ClassScore => {
      const correct = matrix[label]?.[label] ?? 0;
      const support = (matrix[label] ?? []).reduce((sum, count) => sum + count, 0);
      const precision = divide(correct, predicted[label] ?? 0);
      const recall = divide(correct, support);
      return { name, precision, recall, f1: divide(2 * precision * recall, precision + recall), support };
    });
    const present = classes.filter(({ support }, label) => support > 0 || (predicted[label] ?? 0) > 0);
    const mean = (weightOf: (score: ClassScore) => number): Omit<ClassScore, 'name'> => {
      const weights = present.reduce((sum, score) => sum + weightOf(score), 0);
      const of = (key: 'precision' | 'recall' | 'f1'): number =>
        divide(
          present.reduce((sum, score) => sum + score[key] * weightOf(score), 0),
          weights,
        );
      return { precision: of('precision'), recall: of('recall'), f1: of('f1'), support: total };
    };
    const correct = matrix.reduce((sum, row, label) => sum + (row[label] ?? 0), 0);
    return {
      accuracy: divide(correct, total),
      classes,
      macro: mean(() => 1),
      weighted: mean(({ support }) => support),
      matrix,
    };
  }
}

const divide = (a: number, b: number): number => (b === 0 ? 0 : a / b);

/** Lines of a report: scores of the classes, and the matrix if a terminal has room for it, else the pairs that are confused most. */
export function describeClasses(report: ClassReport): string[] {
  const { classes, macro, weighted } = report;
  const names = classes.map(({ name }) => cut(name, MAX_NAME));
  const width = Math.max('weighted mean'.length, ...names.map(({ length }) => length));
  const row = (name: string, { precision, recall, f1, support }: Omit<ClassScore, 'name'>): string =>
    `${name.padEnd(width)}  ${[precision, recall, f1].map((value) => value.toFixed(4).padStart(9)).join('  ')}  ${String(support).padStart(7)}`;
  const listed =
    classes.length > MAX_LISTED
      ? [...classes.keys()]
          .toSorted((a, b) => (classes[a]?.f1 ?? 0) - (classes[b]?.f1 ?? 0))
          .slice(0, MAX_LISTED)
      : [...classes.keys()];
  return [
    ...describeMatrix(report, names),
    '',
    `${''.padEnd(width)}  ${['precision', 'recall', 'F1'].map((name) => name.padStart(9)).join('  ')}  support`,
    ...listed.flatMap((label) => {
      const score = classes[label];
      return score === undefined ? [] : [row(names[label] ?? '', score)];
    }),
    ...(listed.length < classes.length
      ? [`These are the ${listed.length} of ${classes.length} classes with the lowest F1.`]
      : []),
    row('mean', macro),
    row('weighted mean', weighted),
  ];
}

function describeMatrix({ matrix, classes }: ClassReport, names: readonly string[]): string[] {
  const width = Math.max(...names.map(({ length }) => length));
  // Spread arguments would overflow the stack for some hundred classes.
  const digits = String(matrix.flat().reduce((a, b) => Math.max(a, b), 0)).length;
  const room = Math.floor((WIDTH - width - 1) / classes.length) - 1;
  if (room >= Math.max(digits, 3)) {
    const cell = Math.min(room, Math.max(digits, ...names.map(({ length }) => length)));
    const line = (name: string, cells: readonly string[]): string =>
      `${name.padEnd(width)} ${cells.map((text) => ` ${text.padStart(cell)}`).join('')}`;
    return [
      'Rows are the true classes, columns the predicted ones:',
      line(
        '',
        names.map((name) => cut(name, cell)),
      ),
      ...matrix.map((counts, label) => line(names[label] ?? '', counts.map(String))),
    ];
  }
  const pairs = matrix
    .flatMap((counts, actual) => counts.map((count, predicted) => ({ actual, predicted, count })))
    .filter(({ actual, predicted, count }) => actual !== predicted && count > 0)
    .toSorted((a, b) => b.count - a.count)
    .slice(0, MAX_PAIRS);
  if (pairs.length === 0) return ['No class was taken for another.'];
  return [
    'Classes that were confused most:',
    ...pairs.map(({ actual, predicted, count }) => {
      const of = classes[actual]?.support ?? 0;
      return `  ${names[actual] ?? ''} taken for ${names[predicted] ?? ''}: ${count} of ${of} (${((100 * count) / of).toFixed(1)}%)`;
    }),
  ];
}

const cut = (name: string, length: number): string =>
  name.length <= length ? name : `${name.slice(0, Math.max(1, length - 1))}…`;

/** The matrix as CSV, with the names of the classes. */
export function matrixCsv({ matrix, classes }: ClassReport): string {
  const names = classes.map(({ name }) => name);
  return [
    csvRow(['true class', ...names]),
    ...matrix.map((counts, label) => csvRow([names[label] ?? '', ...counts.map(String)])),
  ].join('');
}
