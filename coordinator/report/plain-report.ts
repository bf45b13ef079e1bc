import type { Clock } from '../../shared/clock.ts';
import { due } from './due.ts';
import { EtaForecast } from './eta.ts';
import { duration, epochLine, EVALUATING, plural, summaryOf, type Report } from './report.ts';

/** Plain lines, for a log file or a pipe: one every ten seconds, one an epoch. */
export function plainReport(write: (line: string) => unknown, clock: Clock): Report {
  const forecast = new EtaForecast(clock);
  const now = due(clock);
  let epochs = 0;
  const progress = (label: string, done: number, total: number | undefined): void => {
    if (!now()) return;
    const share =
      total === undefined || total === 0 ? '' : ` of ${total} (${Math.floor((100 * done) / total)}%)`;
    write(`${label}: ${done}${share}`);
  };
  return {
    info: (line) => write(line),
    warn: (line) => write(`! ${line}`),
    progress,
    epochStarted(epoch, ofEpochs, steps) {
      forecast.epochStarted(epoch, ofEpochs, steps);
      epochs = ofEpochs;
      now.again();
      write(`Epoch ${epoch}/${epochs}: ${plural(steps, 'step')}`);
    },
    stepFinished({ step, steps, epoch, ...figures }) {
      forecast.stepFinished(step);
      if (!now()) return;
      const { epochSeconds, runSeconds } = forecast.eta;
      const run = epoch < epochs ? ` (run: ${duration(runSeconds)})` : '';
      write(`  ${step}/${steps} - ETA: ${duration(epochSeconds)}${run} - ${summaryOf(figures)}`);
    },
    evaluated: (done, total) => progress(EVALUATING, done, total),
    epochFinished(record, ofEpochs, steps) {
      forecast.epochFinished();
      write(`Epoch ${record.epoch}/${ofEpochs}: ${steps}/${steps} - ${epochLine(record)}`);
    },
    close: () => undefined,
  };
}
