import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { epochBar, progressBar, type EpochBar } from '../../../coordinator/report/terminal.ts';
import { checkProperty } from '../../support/property.ts';

const BAR: EpochBar = {
  epoch: 1,
  step: 213,
  steps: 469,
  loss: 0.44712,
  metrics: { accuracy: 0.86134 },
  samplesPerSecond: 1303.4,
  workers: 2,
  eta: { epochSeconds: 26, runSeconds: 310 },
  hasLaterEpochs: true,
};

describe('the line of an epoch', () => {
  it.each([
    [
      200,
      '213/469 [===========..............] - ETA: 26s (run: 5m 10s) - loss: 0.4471 - accuracy: 0.8613 - 1303 samples/s - 2 workers',
    ],
    [
      110,
      '213/469 [====......] - ETA: 26s (run: 5m 10s) - loss: 0.4471 - accuracy: 0.8613 - 1303 samples/s - 2 workers',
    ],
    [100, '213/469 - ETA: 26s (run: 5m 10s) - loss: 0.4471 - accuracy: 0.8613 - 1303 samples/s - 2 workers'],
    [77, '213/469 - ETA: 26s/5m 10s - loss: 0.4471 - acc: 0.8613 - 1303/s - 2 workers'],
    [57, '213/469 - ETA: 26s - loss: 0.4471 - acc: 0.8613 - 1303/s'],
    [40, '213/469 - loss: 0.4471 - acc: 0.8613'],
    [20, '213/469'],
    [4, '213/'],
    [0, ''],
  ])('has the most useful fields that fit %d columns', (columns, line) => {
    expect(epochBar(BAR, columns)).toBe(line);
  });

  it('has no remaining time of the run in the last epoch', () => {
    expect(epochBar({ ...BAR, hasLaterEpochs: false }, 200)).toContain(' - ETA: 26s - loss');
  });

  it('never exceeds its columns, and has fewer fields in fewer columns', () => {
    const fields = (line: string): number => line.split(' - ').length;
    checkProperty(
      fc.property(fc.nat(300), fc.nat(1e6), fc.nat(1e6), fc.nat(1e7), (columns, step, more, seconds) => {
        const bar = { ...BAR, step, steps: step + more + 1, eta: { epochSeconds: seconds, runSeconds: 1e6 } };
        const line = epochBar(bar, columns);
        expect(line.length).toBeLessThanOrEqual(columns);
        expect(fields(line)).toBeGreaterThanOrEqual(fields(epochBar(bar, Math.max(0, columns - 20))));
      }),
      { seed: 11 },
    );
  });
});

it('the line of another long task has a bar, a percentage, or a count without a known total', () => {
  expect(progressBar('Loading', 1, 4, 80)).toBe('Loading [======...................] 25%');
  expect(progressBar('Loading', 1, 4, 20)).toBe('Loading: 25%');
  expect(progressBar('Loading', 1, 4, 5)).toBe('25%');
  expect(progressBar('Loading', 1, 4, 2)).toBe('');
  expect(progressBar('Loading', 7, undefined, 80)).toBe('Loading: 7');
  expect(progressBar('Loading', 0, 0, 80)).toBe('Loading: 0');
});
