import type { Clock } from '../../shared/util/clock.ts';
const LINE_INTERVAL_MS = 10_000;

/** Whether the next line of something that goes on is due: one every ten seconds, from now on or since `again`. */
export function everyTenSeconds(clock: Clock): { (): boolean; again(): void } {
  let lastMs = clock.now();
  const isDue = (): boolean => {
    if (clock.now() - lastMs < LINE_INTERVAL_MS) return false;
    lastMs = clock.now();
    return true;
  };
  return Object.assign(isDue, { again: () => void (lastMs = clock.now()) });
}

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
