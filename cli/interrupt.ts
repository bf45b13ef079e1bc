import type { Reporter } from '../coordinator/report/reporter.ts';

/** What a run's exit code is when a person stopped it. */
export const EXIT_INTERRUPTED = 130;

export interface Interrupt {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** Resolves at Ctrl-C, SIGTERM or the end of the terminal. */
export function waitForInterrupt(): Promise<void> {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  return new Promise((resolve) => {
    const onSignal = (): void => {
      for (const signal of signals) process.off(signal, onSignal);
      resolve();
    };
    for (const signal of signals) process.on(signal, onSignal);
  });
}

/**
 * Ctrl-C (or SIGTERM, or the end of the terminal) once: the signal is aborted and the command ends in order. Twice: the process ends at once.
 * @param sentence what the person is told after the first one
 */
export function handleInterrupts(
  report: Reporter,
  sentence = 'Stopping; what has been trained is saved.',
): Interrupt {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) {
      report.close();
      process.exit(EXIT_INTERRUPTED);
    }
    controller.abort();
    report.warn(`${sentence} Ctrl-C again stops at once.`);
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
