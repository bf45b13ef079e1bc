import type { Clock } from '../../shared/util/clock.ts';
import { jsonLog } from './log.ts';
import { everyTenSeconds } from './throttle.ts';
import { EtaForecast } from './eta.ts';
import { formatEpoch, EVALUATING, formatProgress, type Reporter } from './reporter.ts';

/** Reporter with JSON lines for log collectors: the plain lines, with the metrics of training as fields. */
export function jsonReporter(write: (json: string) => unknown, clock: Clock): Reporter {
  const log = jsonLog(write);
  const throttle = everyTenSeconds(clock);
  const forecast = new EtaForecast(clock);
  const progress = (label: string, done: number, total: number | undefined): void => {
    if (throttle.isDue()) log.info(label, { event: 'progress', done, total });
  };
  return {
    ...log,
    progress,
    epochStarted(epoch, epochs, steps) {
      forecast.epochStarted(epoch, epochs, steps);
      throttle.reset();
      log.info(`Epoch ${epoch}/${epochs}`, { event: 'epochStarted', epoch, epochs, steps });
    },
    stepFinished({ epoch, step, steps, loss, metrics, samplesPerSecond, workers }) {
      forecast.stepFinished(step);
      if (!throttle.isDue()) return;
      const { epochSeconds: etaSeconds, runSeconds: runEtaSeconds } = forecast.eta;
      log.info(`${step}/${steps} - ${formatProgress({ loss, metrics, samplesPerSecond, workers })}`, {
        event: 'steps',
        epoch,
        step,
        steps,
        loss,
        ...metrics,
        samplesPerSecond,
        workers,
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
