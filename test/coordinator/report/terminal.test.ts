import { describe, expect, it } from 'vitest';
import { terminalReporter } from '../../../coordinator/report/terminal.ts';
import { PLAIN_STYLE } from '../../../coordinator/report/text-style.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { testTerminal } from '../../support/terminal.ts';

const STEP = {
  epoch: 1,
  steps: 100,
  loss: 0.5,
  metrics: { accuracy: 0.9 },
  samplesPerSecond: 640,
  workers: 2,
};
const MEANS = { loss: 0.5, accuracy: 0.9, val_loss: 0.4, val_accuracy: 0.95 };
const RECORD = { epoch: 1, ...MEANS, seconds: 5, samples_per_second: 640, workers: 2, data: 'mnist' };

function open(columns: number) {
  const clock = manualClock();
  const terminal = testTerminal(columns);
  const continued = new Set<() => void>();
  const report = terminalReporter(terminal, clock, PLAIN_STYLE, (callback) => {
    continued.add(callback);
    return () => void continued.delete(callback);
  });
  const step = async (number: number): Promise<void> => {
    await clock.advance(1_000);
    report.stepFinished({ ...STEP, step: number });
  };
  return { clock, terminal, report, step, continued };
}

describe('the terminal reporter', () => {
  it('shows one line for the epoch, overwritten by each step, below the permanent lines', async () => {
    const { terminal, report, step } = open(200);
    report.epochStarted(1, 3, 100);
    await step(1);
    report.info('+ ann joined');
    await step(2);
    report.warn('A worker was refused.');
    expect(await terminal.screen()).toEqual([
      'Epoch 1/3',
      '+ ann joined',
      '! A worker was refused.',
      '2/100 [.........................] - ETA: 1m 38s (run: 4m 58s) - loss: 0.5000 - accuracy: 0.9000 - 640 samples/s - 2 workers',
    ]);
    report.epochFinished(RECORD, 3, 100);
    expect((await terminal.screen()).slice(3)).toEqual([
      '100/100 - 5s - loss: 0.5000 - accuracy: 0.9000 - val_loss: 0.4000 - val_accuracy: 0.9500 - 640 samples/s - 2 workers',
    ]);
  });

  it('shows the shares of the workers below the line, and erases both lines in a window made narrower', async () => {
    const { clock, terminal, report } = open(80);
    report.epochStarted(1, 3, 100);
    const shares = [
      { name: 'ann', share: 0.75 },
      { name: 'a-worker-with-a-long-name', share: 0.25 },
    ];
    for (const columns of [80, 44, 30, 80]) {
      await terminal.resize(columns);
      await clock.advance(1_000);
      report.stepFinished({ ...STEP, step: 1, shares: () => shares });
      const screen = await terminal.screen();
      expect(screen[0]).toBe('Epoch 1/3');
      expect(screen[1]).toMatch(/^1\/100 /);
      expect(screen.slice(2)).toEqual([
        columns === 30 ? 'ann 75% - 1 more' : 'ann 75% - a-worker-with-a-long-name 25%',
      ]);
    }
    report.info('+ bob joined');
    report.epochFinished(RECORD, 3, 100);
    expect((await terminal.screen()).slice(0, 2)).toEqual(['Epoch 1/3', '+ bob joined']);
    expect((await terminal.screen()).length).toBe(3);
  });

  it('does not truncate messages in a narrow terminal', async () => {
    const { terminal, report, step } = open(40);
    const message = 'The workers on this machine have ended: '.repeat(5) + 'the end of a long line.';
    report.epochStarted(1, 3, 100);
    await step(1);
    report.info(message);
    await step(2);
    expect(await terminal.screen()).toEqual(['Epoch 1/3', message, '2/100 - loss: 0.5000 - acc: 0.9000']);
  });

  it('shows all metrics at 80 columns', async () => {
    const { terminal, report, step } = open(80);
    report.epochStarted(1, 3, 100);
    await step(1);
    expect((await terminal.screen()).at(-1)).toBe(
      '1/100 [..........] - ETA: 1m 39s/4m 59s - loss: 0.5000 - acc: 0.9000 - 640/s',
    );
  });

  it('erases the whole line when the window is made narrower and wider', async () => {
    const { terminal, report, step } = open(120);
    report.epochStarted(1, 3, 100);
    report.info('+ ann joined');
    await step(1);
    for (const columns of [90, 61, 30, 80, 40, 200]) {
      await terminal.resize(columns);
      const screen = await terminal.screen();
      expect(screen.slice(0, 2)).toEqual(['Epoch 1/3', '+ ann joined']);
      expect(screen.length).toBe(3);
      expect(screen[2]).toMatch(/^1\/100( |$)/);
    }
    report.epochFinished(RECORD, 3, 100);
    expect((await terminal.screen()).length).toBe(3);
  });

  it('continues below the output of the shell after the process was stopped', async () => {
    const { terminal, report, step, continued } = open(80);
    report.epochStarted(1, 3, 100);
    await step(1);
    terminal.write('^Z\n[1]+ Stopped   npm start\n$ fg\nnpm start\n');
    for (const callback of continued) callback();
    const screen = await terminal.screen();
    expect(screen.slice(-4, -1)).toEqual(['[1]+ Stopped   npm start', '$ fg', 'npm start']);
    expect(screen.at(-1)).toMatch(/^1\/100 /);
  });

  it('shows the progress of an evaluation after the last step', async () => {
    const { clock, terminal, report, step } = open(80);
    report.epochStarted(1, 1, 100);
    await step(100);
    await clock.advance(1_000);
    report.evaluated?.(0, 10_000);
    expect((await terminal.screen()).at(-1)).toBe(
      'Measuring on the test data [.........................] 0%',
    );
    await clock.advance(1_000);
    report.evaluated?.(2_500, 10_000);
    expect((await terminal.screen()).at(-1)).toBe(
      'Measuring on the test data [======...................] 25%',
    );
    report.evaluated?.(10_000, 10_000);
    expect(await terminal.screen()).toEqual(['Epoch 1/1']);
  });

  it('changes no mode of the terminal, and leaves no listener', async () => {
    const { clock, terminal, report, step, continued } = open(80);
    report.progress('Loading', 1, 4);
    report.epochStarted(1, 3, 100);
    await step(1);
    report.stepFinished({ ...STEP, step: 2 });
    expect(terminal.listeners + continued.size).toBe(2);
    report.close();
    expect(await terminal.changedModes).toEqual([]);
    expect(terminal.listeners + continued.size + clock.pending).toBe(0);
    expect(await terminal.screen()).toEqual(['Epoch 1/3']);
  });

  it('draws at most a few times a second, and finally the last state', async () => {
    const { clock, terminal, report } = open(200);
    let writes = 0;
    const write = terminal.write.bind(terminal);
    terminal.write = (text) => {
      writes++;
      return write(text);
    };
    report.epochStarted(1, 1, 100);
    writes = 0;
    for (let step = 1; step <= 50; step++) report.stepFinished({ ...STEP, step });
    expect(writes).toBe(1);
    await clock.advance(100);
    expect(writes).toBe(2);
    expect((await terminal.screen()).at(-1)).toMatch(/^50\/100 /);
  });
});
