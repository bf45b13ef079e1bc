import type { Clock } from '../../shared/util/clock.ts';

const LINE_INTERVAL_MS = 10_000;

export interface LineThrottle {
  /** Whether ten seconds have passed since the last line, which then counts as written now. */
  isDue(): boolean;
  /** Starts the next ten seconds. */
  reset(): void;
}

/** Throttle for progress lines: one every ten seconds. */
export function everyTenSeconds(clock: Clock): LineThrottle {
  let lastMs = clock.now();
  return {
    isDue() {
      if (clock.now() - lastMs < LINE_INTERVAL_MS) return false;
      lastMs = clock.now();
      return true;
    },
    reset() {
      lastMs = clock.now();
    },
  };
}

const MAX_LINES_PER_WINDOW = 5;
const WINDOW_MS = 60_000;

/**
 * Throttle for log lines that clients cause, so that no client can fill a log: a few different lines a minute, and then the
 * number of suppressed lines.
 * @param formatSuppressed line for the number of suppressed lines
 * @returns `write` for lines, and `close` to end the throttle
 */
export function throttleLog(
  write: (line: string) => void,
  formatSuppressed: (count: number) => string,
  clock: Clock,
): { readonly write: (line: string) => void; readonly close: () => void } {
  let lines = 0;
  let cancel = (): void => undefined;
  const written = new Set<string>();
  const endWindow = (): void => {
    if (lines > written.size) write(formatSuppressed(lines - written.size));
    lines = 0;
    written.clear();
  };
  return {
    write(line) {
      if (lines === 0) cancel = clock.after(WINDOW_MS, endWindow);
      lines++;
      if (written.size >= MAX_LINES_PER_WINDOW || written.has(line)) return;
      written.add(line);
      write(line);
    },
    close() {
      cancel();
      endWindow();
    },
  };
}
