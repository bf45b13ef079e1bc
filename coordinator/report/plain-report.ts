import type { Clock } from '../../shared/clock.ts';
import { duration, epochLine, plural, remainingSeconds, summaryOf, type Report } from './report.ts';

const LINE_EVERY_MS = 10_000;

/** Plain lines, for a log file or a pipe: one every ten seconds, one an epoch. */
export function plainReport(write: (line: string) => unknown, clock: Clock): Report {
  let epochStartedMs = clock.now();
  let lastLineMs = clock.now();
  const due = (): boolean => {
    if (clock.now() - lastLineMs < LINE_EVERY_MS) return false;
    lastLineMs = clock.now();
    return true;
  };
  return {
    info: write,
    warn: (line) => write(`! ${line}`),
    progress(label, done, total) {
      const share =
        total === undefined || total === 0 ? '' : ` of ${total} (${Math.floor((100 * done) / total)}%)`;
      if (due()) write(`${label}: ${done}${share}`);
    },
    epochStarted(epoch, epochs, steps) {
      epochStartedMs = lastLineMs = clock.now();
      write(`Epoch ${epoch}/${epochs}: ${plural(steps, 'step')}`);
    },
    stepFinished(progress) {
      if (!due()) return;
      const eta = duration(remainingSeconds(progress, (clock.now() - epochStartedMs) / 1000));
      write(`  ${progress.step}/${progress.steps} - ETA: ${eta} - ${summaryOf(progress)}`);
    },
    epochFinished: (record, epochs, steps) =>
      write(`Epoch ${record.epoch}/${epochs}: ${steps}/${steps} - ${epochLine(record)}`),
    close: () => undefined,
  };
}
