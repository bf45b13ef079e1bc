import type { Clock } from '../../shared/clock.ts';
import { jsonLog } from '../../shared/json-log.ts';
import { due } from './due.ts';
import { epochLine, remainingSeconds, summaryOf, type Report } from './report.ts';

/** The plain lines as JSON, for programs that gather logs: those of the training have its figures beside them. */
export function jsonReport(write: (json: string) => unknown, clock: Clock): Report {
  const log = jsonLog(write);
  const now = due(clock);
  let epochStartedMs = clock.now();
  return {
    ...log,
    progress(label, done, total) {
      if (now()) log.info(label, { event: 'progress', done, total });
    },
    epochStarted(epoch, epochs, steps) {
      epochStartedMs = clock.now();
      now.again();
      log.info(`Epoch ${epoch}/${epochs}`, { event: 'epochStarted', epoch, epochs, steps });
    },
    stepFinished(progress) {
      if (!now()) return;
      const etaSeconds = remainingSeconds(progress, (clock.now() - epochStartedMs) / 1000);
      const { epoch, step, steps, loss, accuracy, samplesPerSecond, workers } = progress;
      const figures = { epoch, step, steps, loss, accuracy, samplesPerSecond, workers, etaSeconds };
      log.info(`${step}/${steps} - ${summaryOf(progress)}`, { event: 'steps', ...figures });
    },
    epochFinished: (record, epochs) =>
      log.info(`Epoch ${record.epoch}/${epochs}: ${epochLine(record)}`, { event: 'epoch', ...record }),
    close: () => undefined,
  };
}
