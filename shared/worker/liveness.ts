import type { Clock } from '../util/clock.ts';

const CHECK_INTERVAL_MS = 10_000;
/** Number of intervals without a frame after which the coordinator, which pings every few seconds, counts as lost. */
const MAX_SILENT_INTERVALS = 3;

/**
 * Calls back once if reset() was not called for some 30 seconds. Counts timer callbacks instead of reading the clock: a long
 * computation or a suspended machine delays frames and timers alike and must not look like silence.
 */
export function watchLiveness(clock: Clock, onSilent: () => void): { reset(): void; stop(): void } {
  let silentIntervals = 0;
  const wake = (): void => {
    silentIntervals++;
    if (silentIntervals >= MAX_SILENT_INTERVALS) onSilent();
    else cancel = clock.after(CHECK_INTERVAL_MS, wake);
  };
  let cancel = clock.after(CHECK_INTERVAL_MS, wake);
  return {
    reset: () => (silentIntervals = 0),
    stop: () => cancel(),
  };
}
