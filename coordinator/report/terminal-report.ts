import type { Clock } from '../../shared/clock.ts';
import { epochBar, progressBar } from './bar.ts';
import { EtaForecast } from './eta.ts';
import { LiveLine, type OnContinued, type TerminalStream } from './live-line.ts';
import { formatEpoch, EVALUATING, type Reporter } from './report.ts';

/** A process that is stopped by Ctrl-Z hears this once it goes on. */
const onProcessContinued: OnContinued = (callback) => {
  process.on('SIGCONT', callback);
  return () => process.off('SIGCONT', callback);
};

/** A live line per epoch, as Keras draws it; everything else appears above it. */
export function terminalReporter(
  stream: TerminalStream,
  clock: Clock,
  onContinued: OnContinued = onProcessContinued,
): Reporter {
  const live = new LiveLine(stream, clock, onContinued);
  const forecast = new EtaForecast(clock);
  let epochs = 0;

  const showProgress = (label: string, done: number, total: number | undefined): void => {
    if (total !== undefined && done >= total) live.clear();
    else live.show((columns) => progressBar(label, done, total, columns));
  };

  return {
    info: (line) => live.log(line),
    warn: (line) => live.log(`! ${line}`),
    progress: showProgress,
    epochStarted(epoch, ofEpochs, steps) {
      live.clear();
      live.log(`Epoch ${epoch}/${ofEpochs}`);
      epochs = ofEpochs;
      forecast.epochStarted(epoch, ofEpochs, steps);
    },
    stepFinished(progress) {
      forecast.stepFinished(progress.step);
      const bar = { ...progress, eta: forecast.eta, hasLaterEpochs: progress.epoch < epochs };
      live.show((columns) => epochBar(bar, columns));
    },
    evaluated: (done, total) => showProgress(EVALUATING, done, total),
    epochFinished(record, _epochs, steps) {
      forecast.epochFinished();
      live.clear();
      live.log(`${steps}/${steps} - ${formatEpoch(record)}`);
    },
    close: () => live.clear(),
  };
}
