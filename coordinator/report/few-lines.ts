import type { Clock } from '../../shared/clock.ts';

const AT_ONCE = 5;
const WITHIN_MS = 60_000;

/**
 * Lines that others can cause, so that no client can fill a log: a few a minute, each once, and then how many more there were.
 * @returns takes a line, and what ends it
 */
export function fewLines(
  write: (line: string) => void,
  more: (count: number) => string,
  clock: Clock,
): { readonly write: (line: string) => void; readonly close: () => void } {
  let lines = 0;
  let cancel = (): void => undefined;
  const written = new Set<string>();
  const minuteOver = (): void => {
    if (lines > written.size) write(more(lines - written.size));
    lines = 0;
    written.clear();
  };
  return {
    write(line) {
      if (lines === 0) cancel = clock.after(WITHIN_MS, minuteOver);
      lines++;
      if (written.size >= AT_ONCE || written.has(line)) return;
      written.add(line);
      write(line);
    },
    close() {
      cancel();
      minuteOver();
    },
  };
}
