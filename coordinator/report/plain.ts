import type { Clock } from '../../shared/util/clock.ts';
import { everyTenSeconds } from './throttle.ts';
import { EtaForecast } from './eta.ts';
import {
  formatDuration,
  formatEpoch,
  EVALUATING,
  pluralize,
  formatProgress,
  type Reporter,
} from './reporter.ts';

/** Plain lines, for a log file or a pipe: one every ten seconds, one an epoch. */
export function plainReporter(write: (line: string) => unknown, clock: Clock): Reporter {
  const forecast = new EtaForecast(clock);
  const now = everyTenSeconds(clock);
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
      write(`Epoch ${epoch}/${epochs}: ${pluralize(steps, 'step')}`);
    },
    stepFinished({ step, steps, epoch, ...figures }) {
      forecast.stepFinished(step);
      if (!now()) return;
      const { epochSeconds, runSeconds } = forecast.eta;
      const run = epoch < epochs ? ` (run: ${formatDuration(runSeconds)})` : '';
      write(`  ${step}/${steps} - ETA: ${formatDuration(epochSeconds)}${run} - ${formatProgress(figures)}`);
    },
    evaluated: (done, total) => progress(EVALUATING, done, total),
    epochFinished(record, ofEpochs, steps) {
      forecast.epochFinished();
      write(`Epoch ${record.epoch}/${ofEpochs}: ${steps}/${steps} - ${formatEpoch(record)}`);
    },
    close: () => undefined,
  };
}
