import { describe, expect, it } from 'vitest';
import { plainReporter } from '../../../coordinator/report/plain.ts';
import { manualClock } from '../../support/manual-clock.ts';

function plain() {
  const clock = manualClock(1_000_000);
  const lines: string[] = [];
  const report = plainReporter((line) => lines.push(line), clock);
  const step = (number: number): void =>
    report.stepFinished({
      epoch: 1,
      step: number,
      steps: 100,
      loss: 0.5,
      metrics: { accuracy: 0.9 },
      samplesPerSecond: 640,
      workers: 2,
    });
  return { clock, lines, report, step };
}

describe('the plain reporter', () => {
  it('writes messages at once, with a mark before warnings', () => {
    const { lines, report } = plain();
    report.info('+ ann joined');
    report.warn('No worker is connected.');
    expect(lines).toEqual(['+ ann joined', '! No worker is connected.']);
  });

  it('writes a line for a step every ten seconds, with the remaining time', async () => {
    const { clock, lines, report, step } = plain();
    report.epochStarted(1, 12, 100);
    for (let number = 1; number <= 25; number++) {
      await clock.advance(1000);
      step(number);
    }
    expect(lines).toEqual([
      'Epoch 1/12: 100 steps',
      '  10/100 - ETA: 1m 30s (run: 19m 50s) - loss: 0.5000 - accuracy: 0.9000 - 640 samples/s - 2 workers',
      '  20/100 - ETA: 1m 20s (run: 19m 40s) - loss: 0.5000 - accuracy: 0.9000 - 640 samples/s - 2 workers',
    ]);
  });

  it('measures the time of an epoch from the start of the epoch, not of the run', async () => {
    const { clock, lines, report, step } = plain();
    await clock.advance(60_000);
    report.epochStarted(2, 12, 100);
    step(1);
    await clock.advance(10_000);
    step(50);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/^ {2}50\/100 - ETA: 10s \(run: 3m 30s\) - /);
  });

  it('writes the progress of a long evaluation', async () => {
    const { clock, lines, report, step } = plain();
    report.epochStarted(12, 12, 100);
    step(100);
    for (const done of [0, 2_500, 5_000]) {
      report.evaluated?.(done, 10_000);
      await clock.advance(5_000);
    }
    report.evaluated?.(7_500, 10_000);
    expect(lines.slice(1)).toEqual(['Measuring on the test data: 5000 of 10000 (50%)']);
  });

  it('writes a line at the end of every epoch', () => {
    const { lines, report } = plain();
    const means = { loss: 0.5, accuracy: 0.9, val_loss: 0.4, val_accuracy: 0.95 };
    const rest = { seconds: 5, samples_per_second: 100, workers: 1, data: 'mnist' };
    report.epochFinished({ epoch: 3, ...means, ...rest }, 12, 469);
    expect(lines).toEqual([
      'Epoch 3/12: 469/469 - 5s - loss: 0.5000 - accuracy: 0.9000 - val_loss: 0.4000 - ' +
        'val_accuracy: 0.9500 - 100 samples/s - 1 worker',
    ]);
  });

  it('writes the progress of a long task, as a percentage if the total is known', async () => {
    const { clock, lines, report } = plain();
    report.progress('Loading', 1, 4);
    await clock.advance(10_000);
    report.progress('Loading', 3, 4);
    await clock.advance(10_000);
    report.progress('Loading', 3, undefined);
    expect(lines).toEqual(['Loading: 3 of 4 (75%)', 'Loading: 3']);
  });
});
