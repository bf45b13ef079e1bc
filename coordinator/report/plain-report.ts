import type { Clock } from '../../shared/clock.ts';
import { due } from './due.ts';
import { duration, epochLine, plural, remainingSeconds, summaryOf, type Report } from './report.ts';

/** Plain lines, for a log file or a pipe: one every ten seconds, one an epoch. */
export function plainReport(write: (line: string) => unknown, clock: Clock): Report {
  let epochStartedMs = clock.now();
  const now = due(clock);
  return {
    info: (line) => write(line),
    warn: (line) => write(`! ${line}`),
    progress(label, done, total) {
      const share =
        total === undefined || total === 0 ? '' : ` of ${total} (${Math.floor((100 * done) / total)}%)`;
      if (now()) write(`${label}: ${done}${share}`);
    },
    epochStarted(epoch, epochs, steps) {
      epochStartedMs = clock.now();
      now.again();
      write(`Epoch ${epoch}/${epochs}: ${plural(steps, 'step')}`);
    },
    stepFinished(progress) {
      if (!now()) return;
      const eta = duration(remainingSeconds(progress, (clock.now() - epochStartedMs) / 1000));
      write(`  ${progress.step}/${progress.steps} - ETA: ${eta} - ${summaryOf(progress)}`);
    },
    epochFinished: (record, epochs, steps) =>
      write(`Epoch ${record.epoch}/${epochs}: ${steps}/${steps} - ${epochLine(record)}`),
    close: () => undefined,
  };
}
