import type { Clock } from '../util/clock.ts';

const CHECK_INTERVAL_MS = 10_000;
/** Number of silent intervals after which the coordinator, which pings every few seconds, counts as lost. */
const MAX_SILENT_INTERVALS = 3;

/**
 * Calls back once if a connection is silent for some 30 seconds. Counts timer callbacks instead of reading the clock: a long
 * computation or a suspended machine delays frames and timers alike and must not look like silence.
 * @param eventCount returns how often the coordinator has been heard so far
 * @returns function that stops watching
 */
export function watchLiveness(clock: Clock, eventCount: () => number, onSilent: () => void): () => void {
  let lastCount = eventCount();
  let silentIntervals = 0;
  const check = (): void => {
    const count = eventCount();
    silentIntervals = count === lastCount ? silentIntervals + 1 : 1;
    lastCount = count;
    if (silentIntervals >= MAX_SILENT_INTERVALS) onSilent();
    else cancel = clock.after(CHECK_INTERVAL_MS, check);
  };
  let cancel = clock.after(CHECK_INTERVAL_MS, check);
  return () => cancel();
}
