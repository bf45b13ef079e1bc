import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  ConfusionMatrix,
  describeClasses,
  matrixCsv,
  type ClassReport,
} from '../../../coordinator/predict/class-scores.ts';
import { describeValues, ValueScores, type ValueReport } from '../../../coordinator/predict/value-scores.ts';

type Scores<Value> = [precision: Value, recall: Value, f1: Value, support: number[] | null];
interface Reference {
  readonly names: string[];
  readonly classes: Record<
    string,
    {
      readonly actual: number[];
      readonly predicted: number[];
      readonly matrix: number[][];
      readonly accuracy: number;
      readonly each: Scores<number[]>;
      readonly macro: Scores<number>;
      readonly weighted: Scores<number>;
    }
  >;
  readonly values: Record<
    string,
    {
      readonly expected: number[];
      readonly predicted: number[];
      readonly mae: number;
      readonly rmse: number;
      readonly r2: number;
    }
  >;
}
const file = new URL('../../reference/sklearn_scores.json', import.meta.url);
const reference = JSON.parse(readFileSync(file, 'utf8')) as Reference;

function reportOf(
  names: readonly string[],
  actual: readonly number[],
  predicted: readonly number[],
): ClassReport {
  const counts = new ConfusionMatrix(names);
  for (const [i, label] of actual.entries()) counts.add(label, predicted[i]!);
  return counts.report();
}

function valuesOf(expected: readonly number[], predicted: readonly number[]): ValueReport {
  const scores = new ValueScores('price');
  for (const [i, value] of expected.entries()) scores.add(i, value, predicted[i]!);
  return scores.report();
}

describe('scores of classes', () => {
  it.each(Object.entries(reference.classes))('are those of scikit-learn: %s', (_, made) => {
    const { matrix, accuracy, classes, macro, weighted } = reportOf(
      reference.names,
      made.actual,
      made.predicted,
    );
    expect(matrix).toEqual(made.matrix);
    expect(accuracy).toBeCloseTo(made.accuracy, 12);
    const [precision, recall, f1, support] = made.each;
    for (const [label, score] of classes.entries()) {
      expect(score.name).toBe(reference.names[label]);
      expect(score.precision).toBeCloseTo(precision[label]!, 12);
      expect(score.recall).toBeCloseTo(recall[label]!, 12);
      expect(score.f1).toBeCloseTo(f1[label]!, 12);
      expect(score.support).toBe(support![label]);
    }
    for (const [mean, expected] of [
      [macro, made.macro],
      [weighted, made.weighted],
    ] as const) {
      expect(mean.precision).toBeCloseTo(expected[0], 12);
      expect(mean.recall).toBeCloseTo(expected[1], 12);
      expect(mean.f1).toBeCloseTo(expected[2], 12);
    }
  });

  it('are readable in 80 columns for 12 classes, and name the pairs that are confused most for more', () => {
    const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `class number ${i}`);
    const of = (count: number): ClassReport => {
      const actual = Array.from({ length: 4000 }, (_, i) => i % count);
      return reportOf(
        names(count),
        actual,
        actual.map((label, i) => (i % 10 === 0 ? (label + 1) % count : label)),
      );
    };
    const lines = describeClasses(of(12));
    expect(lines[0]).toBe('Rows are the true classes, columns the predicted ones:');
    expect(lines.slice(1, 14).every((line) => line.length <= 80)).toBe(true);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
    expect(lines[2]).toMatch(/^class number 0 +\d+ /);
    const many = describeClasses(of(50));
    expect(many[0]).toBe('Classes that were confused most:');
    expect(many[1]).toMatch(/^ {2}class number \d+ taken for class number \d+: \d+ of 80 \(\d+\.\d%\)$/);
    expect(many).toContain('These are the 40 of 50 classes with the lowest F1.');
  });

  it('are a table of CSV with quoted names', () => {
    const { matrix, ...report } = reportOf(['a, b', 'c'], [0, 1, 1], [0, 0, 1]);
    expect(matrixCsv({ ...report, matrix })).toBe('true class,"a, b",c\n"a, b",1,0\nc,1,1\n');
  });
});

describe('scores of numbers', () => {
  it.each(Object.entries(reference.values))('are those of scikit-learn: %s', (_, made) => {
    const { mae, rmse, r2, samples } = valuesOf(made.expected, made.predicted);
    expect(mae).toBeCloseTo(made.mae, 9);
    expect(rmse).toBeCloseTo(made.rmse, 9);
    expect(r2).toBeCloseTo(made.r2, 9);
    expect(samples).toBe(made.expected.length);
  });

  it('have no R2 for one sample, and name the samples with the largest errors', () => {
    const one = valuesOf([1], [2]);
    expect(one.r2).toBeNaN();
    expect(describeValues(one)[0]).toBe('price: MAE 1, RMSE 1, R2 not defined');
    const expected = Array.from({ length: 20 }, (_, i) => i);
    const report = valuesOf(
      expected,
      expected.map((value) => value + ((value * 7) % 20)),
    );
    expect(report.largestErrors.map(({ sample }) => (sample * 7) % 20)).toEqual([19, 18, 17, 16, 15]);
    expect(describeValues(report)[2]).toBe('  test sample 17: 36 predicted, 17 expected');
  });
});
