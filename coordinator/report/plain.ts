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

/** Reporter with plain lines for a log file or a pipe: one every ten seconds, and one an epoch. */
export function plainReporter(write: (line: string) => unknown, clock: Clock): Reporter {
  const forecast = new EtaForecast(clock);
  const throttle = everyTenSeconds(clock);
  let epochs = 0;
  const progress = (label: string, done: number, total: number | undefined): void => {
    if (!throttle.isDue()) return;
    const fraction =
      total === undefined || total === 0 ? '' : ` of ${total} (${Math.floor((100 * done) / total)}%)`;
    write(`${label}: ${done}${fraction}`);
  };
  return {
    info: (line) => write(line),
    warn: (line) => write(`! ${line}`),
    progress,
    epochStarted(epoch, ofEpochs, steps) {
      forecast.epochStarted(epoch, ofEpochs, steps);
      epochs = ofEpochs;
      throttle.reset();
      write(`Epoch ${epoch}/${epochs}: ${pluralize(steps, 'step')}`);
    },
    stepFinished({ step, steps, epoch, ...metrics }) {
      forecast.stepFinished(step);
      if (!throttle.isDue()) return;
      const { epochSeconds, runSeconds } = forecast.eta;
      const run = epoch < epochs ? ` (run: ${formatDuration(runSeconds)})` : '';
      write(`  ${step}/${steps} - ETA: ${formatDuration(epochSeconds)}${run} - ${formatProgress(metrics)}`);
    },
    evaluated: (done, total) => progress(EVALUATING, done, total),
    epochFinished(record, ofEpochs, steps) {
      forecast.epochFinished();
      write(`Epoch ${record.epoch}/${ofEpochs}: ${steps}/${steps} - ${formatEpoch(record)}`);
    },
    close: () => undefined,
  };
}
