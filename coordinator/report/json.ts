import type { Clock } from '../../shared/util/clock.ts';
import { jsonLog } from './log.ts';
import { everyTenSeconds } from './throttle.ts';
import { EtaForecast } from './eta.ts';
import { formatEpoch, EVALUATING, formatProgress, type Reporter } from './reporter.ts';

/** The plain lines as JSON, for programs that gather logs: those of the training have its figures beside them. */
export function jsonReporter(write: (json: string) => unknown, clock: Clock): Reporter {
  const log = jsonLog(write);
  const now = everyTenSeconds(clock);
  const forecast = new EtaForecast(clock);
  const progress = (label: string, done: number, total: number | undefined): void => {
    if (now()) log.info(label, { event: 'progress', done, total });
  };
  return {
    ...log,
    progress,
    epochStarted(epoch, epochs, steps) {
      forecast.epochStarted(epoch, epochs, steps);
      now.again();
      log.info(`Epoch ${epoch}/${epochs}`, { event: 'epochStarted', epoch, epochs, steps });
    },
    stepFinished({ epoch, step, steps, loss, accuracy, samplesPerSecond, workers }) {
      forecast.stepFinished(step);
      if (!now()) return;
      const figures = { loss, accuracy, samplesPerSecond, workers };
      const { epochSeconds: etaSeconds, runSeconds: runEtaSeconds } = forecast.eta;
      log.info(`${step}/${steps} - ${formatProgress(figures)}`, {
        event: 'steps',
        epoch,
        step,
        steps,
        ...figures,
        etaSeconds,
        runEtaSeconds,
      });
    },
    evaluated: (done, total) => progress(EVALUATING, done, total),
    epochFinished(record, epochs) {
      forecast.epochFinished();
      log.info(`Epoch ${record.epoch}/${epochs}: ${formatEpoch(record)}`, { event: 'epoch', ...record });
    },
    close: () => undefined,
  };
}
