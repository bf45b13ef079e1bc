/** A sample with a large error. */
export interface LargeError {
  /** Number of the test sample, from 0. */
  readonly sample: number;
  readonly expected: number;
  readonly predicted: number;
}

/** Scores of predicted numbers, as scikit-learn has them. */
export interface ValueReport {
  readonly name: string;
  /** Mean absolute error. */
  readonly mae: number;
  /** Root of the mean squared error. */
  readonly rmse: number;
  /** Coefficient of determination: 1 is perfect, 0 what the mean predicts. NaN for fewer than two samples. */
  readonly r2: number;
  readonly samples: number;
  readonly largestErrors: readonly LargeError[];
}

const MAX_ERRORS = 5;

/**
 * Sums up predictions of a number.
 * @example
 * ```ts
 * const scores = new ValueScores('price');
 * scores.add(0, 3, 2.5);
 * scores.report().mae; // 0.5
 * ```
 */
export class ValueScores {
  readonly #name: string;
  #samples = 0;
  #absolute = 0;
  #squared = 0;
  #mean = 0;
  /** Sum of the squared distances to the mean. */
  #deviation = 0;
  #largest: LargeError[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(sample: number, expected: number, predicted: number): void {
    const error = Math.abs(predicted - expected);
    this.#samples++;
    this.#absolute += error;
    this.#squared += error * error;
    // Welford, "Note on a method for calculating corrected sums of squares and products", 1962.
    const difference = expected - this.#mean;
    this.#mean += difference / this.#samples;
    this.#deviation += difference * (expected - this.#mean);
    const last = this.#largest.at(-1);
    if (this.#largest.length === MAX_ERRORS && last !== undefined && error <= errorOf(last)) return;
    this.#largest = [...this.#largest, { sample, expected, predicted }]
      .toSorted((a, b) => errorOf(b) - errorOf(a))
      .slice(0, MAX_ERRORS);
  }

  report(): ValueReport {
    const samples = this.#samples;
    const squared = this.#squared;
    const deviation = this.#deviation;
    return {
      name: this.#name,
      mae: this.#absolute / samples,
      rmse: Math.sqrt(squared / samples),
      r2: samples < 2 ? NaN : deviation > 0 ? 1 - squared / deviation : squared === 0 ? 1 : 0,
      samples,
      largestErrors: this.#largest,
    };
  }
}

const errorOf = ({ expected, predicted }: LargeError): number => Math.abs(predicted - expected);

/** Lines of a report. */
export function describeValues({ name, mae, rmse, r2, largestErrors }: ValueReport): string[] {
  const number = (value: number): string => String(Number(value.toPrecision(5)));
  return [
    `${name}: MAE ${number(mae)}, RMSE ${number(rmse)}, R2 ${Number.isNaN(r2) ? 'not defined' : r2.toFixed(4)}`,
    `Largest errors of ${name}:`,
    ...largestErrors.map(
      ({ sample, expected, predicted }) =>
        `  test sample ${sample}: ${number(predicted)} predicted, ${number(expected)} expected`,
    ),
  ];
}
