import type { Report } from './report/report.ts';

/** What a run's exit code is when a person stopped it. */
export const INTERRUPTED = 130;

export interface Interrupt {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** Ctrl-C (or SIGTERM, or the end of the terminal) once: the signal is aborted and the run ends in order. Twice: the process ends at once. */
export function interruptible(report: Report): Interrupt {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) {
      report.close();
      process.exit(INTERRUPTED);
    }
    controller.abort();
    report.warn('Stopping; what has been trained is saved. Ctrl-C again stops at once.');
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  return {
    signal: controller.signal,
    dispose() {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
      process.off('SIGHUP', onSignal);
    },
  };
}
