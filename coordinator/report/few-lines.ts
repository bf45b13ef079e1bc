import type { Clock } from '../../shared/clock.ts';

const MAX_LINES_PER_WINDOW = 5;
const WINDOW_MS = 60_000;

/**
 * Lines that others can cause, so that no client can fill a log: a few a minute, each once, and then how many more there were.
 * @returns takes a line, and what ends it
 */
export function throttleLog(
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
      if (lines === 0) cancel = clock.after(WINDOW_MS, minuteOver);
      lines++;
      if (written.size >= MAX_LINES_PER_WINDOW || written.has(line)) return;
      written.add(line);
      write(line);
    },
    close() {
      cancel();
      minuteOver();
    },
  };
}
