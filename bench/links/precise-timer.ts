/** Timers are late by up to so much. */
const LATE_MS = 1.2;

/** Calls back at a time of performance.now(), more exactly than timers do; calls for one time come in order. */
export function at(timeMs: number, callback: () => void): void {
  const leftMs = timeMs - performance.now();
  if (leftMs > LATE_MS) setTimeout(() => at(timeMs, callback), leftMs - LATE_MS);
  else if (leftMs > 0) setImmediate(() => at(timeMs, callback));
  else callback();
}

export const sleepUntil = (timeMs: number): Promise<void> => new Promise((resolve) => at(timeMs, resolve));
