import { describe, expect, it } from 'vitest';
import { jsonReporter } from '../../../coordinator/report/json.ts';
import { manualClock } from '../../support/manual-clock.ts';

function json() {
  const clock = manualClock(1_000_000);
  const lines: Record<string, unknown>[] = [];
  const report = jsonReporter((line) => {
    // One object, one line.
    expect(line.indexOf('\n')).toBe(line.length - 1);
    lines.push(JSON.parse(line) as Record<string, unknown>);
  }, clock);
  return { clock, lines, report };
}

const STEP = {
  epoch: 1,
  steps: 100,
  loss: 0.5,
  metrics: { accuracy: 0.9 },
  samplesPerSecond: 640,
  workers: 2,
};

describe('the JSON reporter', () => {
  it('writes level, time, text and fields, and nothing about this machine', () => {
    const { lines, report } = json();
    report.info('+ ann joined', { event: 'joined', worker: 'ann' });
    report.warn('A name\nof two lines and \u001b[31mcolor');
    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.any(String) as string,
        event: 'joined',
        worker: 'ann',
        msg: '+ ann joined',
      },
      {
        level: 'warn',
        time: expect.any(String) as string,
        msg: 'A name\nof two lines and \u001b[31mcolor',
      },
    ]);
    expect(new Date(lines[0]?.time as string).toISOString()).toBe(lines[0]?.time);
  });

  it('writes the metrics of a step every ten seconds, and of every epoch', async () => {
    const { clock, lines, report } = json();
    report.epochStarted(1, 12, 100);
    for (let step = 1; step <= 25; step++) {
      await clock.advance(1_000);
      report.stepFinished({ ...STEP, step });
    }
    const means = { loss: 0.5, accuracy: 0.9, val_loss: 0.4, val_accuracy: 0.95 };
    const record = { epoch: 1, ...means, seconds: 25, samples_per_second: 100, workers: 2, data: 'mnist' };
    report.epochFinished(record, 12, 100);
    const { metrics, ...step } = STEP;
    expect(lines).toMatchObject([
      { event: 'epochStarted', epoch: 1, epochs: 12, steps: 100, msg: 'Epoch 1/12' },
      { event: 'steps', ...step, ...metrics, step: 10, etaSeconds: 90, runEtaSeconds: 1190 },
      { event: 'steps', ...step, ...metrics, step: 20, etaSeconds: 80, runEtaSeconds: 1180 },
      { event: 'epoch', ...record },
    ]);
  });

  it('does not write the weights of a step', async () => {
    const { clock, lines, report } = json();
    await clock.advance(10_000);
    const weights = { step: 1, values: new Float32Array(3) };
    const event = { ...STEP, step: 1, weights };
    report.stepFinished(event);
    expect(lines[0]).not.toHaveProperty('weights');
  });
});
