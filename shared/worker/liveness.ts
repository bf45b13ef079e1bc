import type { Clock } from '../util/clock.ts';

const CHECK_INTERVAL_MS = 10_000;
/** The coordinator pings every few seconds, so this many intervals without a frame mean that it is gone. */
const MAX_SILENT_INTERVALS = 3;

/**
 * Calls back once nothing has been heard for some 30 seconds. Counts its own wake-ups, not the clock: a long
 * computation or a sleeping laptop delays both the frames and the wake-ups, and must not look like silence.
 */
export function watchLiveness(clock: Clock, onSilent: () => void): { heard(): void; stop(): void } {
  let silentIntervals = 0;
  const wake = (): void => {
    silentIntervals++;
    if (silentIntervals >= MAX_SILENT_INTERVALS) onSilent();
    else cancel = clock.after(CHECK_INTERVAL_MS, wake);
  };
  let cancel = clock.after(CHECK_INTERVAL_MS, wake);
  return {
    heard: () => (silentIntervals = 0),
    stop: () => cancel(),
  };
}
