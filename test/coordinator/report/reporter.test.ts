import { describe, expect, it } from 'vitest';
import {
  combineListeners,
  formatDuration,
  formatEpoch,
  formatMetric,
  pluralize,
  remainingSeconds,
  formatProgress,
  type Progress,
  type TrainingListener,
} from '../../../coordinator/report/reporter.ts';
import type { EpochRecord } from '../../../shared/protocol/messages.ts';

const progress: Progress = {
  epoch: 2,
  step: 117,
  steps: 469,
  loss: 0.123456,
  metrics: { accuracy: 0.98765 },
  samplesPerSecond: 5120.6,
  workers: 1,
};
const record: EpochRecord = {
  epoch: 2,
  loss: 0.1,
  accuracy: 0.97,
  val_loss: 0.05,
  val_accuracy: 0.98555,
  seconds: 75.4,
  samples_per_second: 795.5,
  workers: 3,
  data: 'mnist',
};

it.each([
  [0.98765, '0.9877'],
  [-12.5, '-12.5000'],
  [152_949.8263, '152949.8'],
  [-1_234.56789, '-1234.568'],
  [40_876_541_840.9, '4.0877e+10'],
  [NaN, 'NaN'],
  [Infinity, 'Infinity'],
])('the metric %d is shown as %s', (value, text) => {
  expect(formatMetric(value)).toBe(text);
});

it('a warning reaches every listener that takes it', () => {
  const lines: string[] = [];
  const silent = {
    epochStarted: () => undefined,
    stepFinished: () => undefined,
    epochFinished: () => undefined,
  };
  const listener = (name: string): TrainingListener => ({
    ...silent,
    warn: (line, fields) => lines.push(`${name}: ${line} ${JSON.stringify(fields)}`),
  });
  combineListeners(silent, listener('one'), combineListeners(listener('two'))).warn?.('The run rewinds.', {
    from: 3,
  });
  expect(lines).toEqual(['one: The run rewinds. {"from":3}', 'two: The run rewinds. {"from":3}']);
});

describe('a duration', () => {
  it.each([
    [0, '0s'],
    [-3, '0s'],
    [41.6, '42s'],
    [59.4, '59s'],
    [59.6, '1m 00s'],
    [185, '3m 05s'],
    [3599.4, '59m 59s'],
    [3599.6, '1h 00m'],
    [3720, '1h 02m'],
    [100 * 3600, '100h 00m'],
  ])('of %d seconds is %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

describe('formats', () => {
  it('singular and plural', () => {
    expect([0, 1, 2].map((count) => pluralize(count, 'worker'))).toEqual([
      '0 workers',
      '1 worker',
      '2 workers',
    ]);
  });

  it('the metrics of a step', () => {
    expect(formatProgress(progress)).toBe('loss: 0.1235 - accuracy: 0.9877 - 5121 samples/s - 1 worker');
  });

  it('the record of an epoch', () => {
    expect(formatEpoch(record)).toBe(
      '1m 15s - loss: 0.1000 - accuracy: 0.9700 - val_loss: 0.0500 - val_accuracy: 0.9856 - ' +
        '796 samples/s - 3 workers',
    );
  });
});

describe('the remaining time of an epoch', () => {
  it('follows from its average throughput so far', () => {
    expect(remainingSeconds({ ...progress, step: 100, steps: 400 }, 10)).toBe(30);
    expect(remainingSeconds({ ...progress, step: 400, steps: 400 }, 40)).toBe(0);
    expect(remainingSeconds({ ...progress, step: 0 }, 5)).toBe(0);
  });
});
