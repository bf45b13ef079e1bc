import type { Clock } from '../../shared/clock.ts';

const AT_ONCE = 5;
const WITHIN_MS = 60_000;

/**
 * Lines that others can cause, so that nobody can fill a log: a few a minute, and then how many more there were.
 * @returns takes a line, and what ends it
 */
export function fewLines(
  write: (line: string) => void,
  more: (count: number) => string,
  clock: Clock,
): { readonly write: (line: string) => void; readonly close: () => void } {
  let [lines, cancel] = [0, (): void => undefined];
  const minuteOver = (): void => {
    if (lines > AT_ONCE) write(more(lines - AT_ONCE));
    lines = 0;
  };
  return {
    write(line) {
      if (lines === 0) cancel = clock.after(WITHIN_MS, minuteOver);
      lines++;
      if (lines <= AT_ONCE) write(line);
    },
    close() {
      cancel();
      minuteOver();
    },
  };
}
