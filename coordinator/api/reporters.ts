import { systemClock } from '../../shared/util/clock.ts';
import { plainReporter } from '../report/plain.ts';
import type { Reporter } from '../report/reporter.ts';

export const clock = systemClock(globalThis);

/** Reporter that ignores everything. */
export const silentReporter: Reporter = {
  info: () => undefined,
  warn: () => undefined,
  progress: () => undefined,
  epochStarted: () => undefined,
  stepFinished: () => undefined,
  epochFinished: () => undefined,
  close: () => undefined,
};

/**
 * Reporter that writes plain lines: progress every ten seconds, and one line an epoch.
 * @param write receives each line
 * @example
 * ```ts
 * await train({ data: 'digits/' }, { reporter: lineReporter((line) => console.log(line)) });
 * ```
 */
export const lineReporter = (write: (line: string) => void): Reporter => plainReporter(write, clock);

/** Reporter with all methods, of one that has some. */
export function completeReporter(reporter: Partial<Reporter> | undefined): Reporter {
  if (reporter === undefined) return silentReporter;
  const complete: Partial<Record<keyof Reporter, unknown>> = { ...silentReporter };
  // Methods of a class are on its prototype.
  for (const name of [
    'info',
    'warn',
    'progress',
    'epochStarted',
    'stepFinished',
    'evaluated',
    'epochFinished',
    'close',
  ] as const) {
    const method = reporter[name];
    if (method !== undefined) complete[name] = method.bind(reporter);
  }
  return complete as unknown as Reporter;
}
