import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { epochBar, progressBar, sharesLine, type EpochBar } from '../../../coordinator/report/terminal.ts';
import { PLAIN_STYLE, widthOf } from '../../../coordinator/report/text-style.ts';
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
    [100, '213/469 [====......] - ETA: 26s/5m 10s - loss: 0.4471 - acc: 0.8613 - 1303/s - 2 workers'],
    [79, '213/469 [====......] - ETA: 26s/5m 10s - loss: 0.4471 - acc: 0.8613 - 1303/s'],
    [70, '213/469 - ETA: 26s/5m 10s - loss: 0.4471 - acc: 0.8613 - 1303/s'],
    [57, '213/469 - ETA: 26s - loss: 0.4471 - acc: 0.8613 - 1303/s'],
    [40, '213/469 - loss: 0.4471 - acc: 0.8613'],
    [20, '213/469'],
    [4, '213/'],
    [0, ''],
  ])('has the most useful fields that fit %d columns', (columns, line) => {
    expect(epochBar(BAR, columns, PLAIN_STYLE)).toBe(line);
  });

  it('has no remaining time of the run in the last epoch', () => {
    expect(epochBar({ ...BAR, hasLaterEpochs: false }, 200, PLAIN_STYLE)).toContain(' - ETA: 26s - loss');
  });

  it('is a line with a full part where the terminal shows more than ASCII', () => {
    const style = { inColor: false, isUnicode: true };
    expect(epochBar(BAR, 110, style)).toContain('213/469 ━━━━────── - ETA');
  });

  it('has colors that take no columns', () => {
    const style = { inColor: true, isUnicode: true };
    const line = epochBar(BAR, 110, style);
    expect(line).toContain('213/469 \u001b[32m━━━━\u001b[39m\u001b[2m━━━━━━\u001b[22m');
    expect(stripVTControlCharacters(line)).toBe(
      '213/469 ━━━━━━━━━━ - ETA: 26s (run: 5m 10s) - loss: 0.4471 - accuracy: 0.8613 - 1303 samples/s - 2 workers',
    );
  });

  it.each([
    ['plain', PLAIN_STYLE],
    ['colored', { inColor: true, isUnicode: true }],
  ])('never exceeds its columns, and has fewer fields in fewer columns (%s)', (_, style) => {
    const fields = (line: string): number => line.split(' - ').length;
    checkProperty(
      fc.property(fc.nat(300), fc.nat(1e6), fc.nat(1e6), fc.nat(1e7), (columns, step, more, seconds) => {
        const bar = { ...BAR, step, steps: step + more + 1, eta: { epochSeconds: seconds, runSeconds: 1e6 } };
        const line = epochBar(bar, columns, style);
        expect(widthOf(line)).toBeLessThanOrEqual(columns);
        expect(fields(line)).toBeGreaterThanOrEqual(fields(epochBar(bar, Math.max(0, columns - 20), style)));
      }),
      { seed: 11 },
    );
  });
});

it('the line of another long task has a bar, a percentage, or a count without a known total', () => {
  expect(progressBar('Loading', 1, 4, 80, PLAIN_STYLE)).toBe('Loading [======...................] 25%');
  expect(progressBar('Loading', 1, 4, 20, PLAIN_STYLE)).toBe('Loading: 25%');
  expect(progressBar('Loading', 1, 4, 5, PLAIN_STYLE)).toBe('25%');
  expect(progressBar('Loading', 1, 4, 2, PLAIN_STYLE)).toBe('');
  expect(progressBar('Loading', 7, undefined, 80, PLAIN_STYLE)).toBe('Loading: 7');
  expect(progressBar('Loading', 0, 0, 80, PLAIN_STYLE)).toBe('Loading: 0');
});

describe('the line of the workers', () => {
  const shares = [
    { name: 'ann', share: 0.254 },
    { name: 'gpu-box', share: 0.5 },
    { name: '東京', share: 0.246 },
  ];

  it('has the shares of the batch, the largest first', () => {
    expect(sharesLine(shares, 80, PLAIN_STYLE)).toEqual(['gpu-box 50% - ann 25% - 東京 25%']);
  });

  it('has as many workers as fit, and counts the others', () => {
    expect(sharesLine(shares, 31, PLAIN_STYLE)).toEqual(['gpu-box 50% - ann 25% - 1 more']);
    expect(sharesLine(shares, 20, PLAIN_STYLE)).toEqual(['gpu-box 50% - 2 more']);
    expect(sharesLine(shares, 12, PLAIN_STYLE)).toEqual([]);
  });

  it('is left out for one worker', () => {
    expect(sharesLine(shares.slice(0, 1), 80, PLAIN_STYLE)).toEqual([]);
  });
});
