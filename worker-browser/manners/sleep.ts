import type { Clock } from '../../shared/clock.ts';

const CHECK_INTERVAL_MS = 5_000;
/** A tick that comes this much late was not delayed by a busy processor. */
const MIN_SLEEP_MS = 15_000;

/**
 * Calls back after the machine has slept, or the browser has frozen the tab: the time of day has then moved on further
 * than the timers.
 * @param today the time of day, in ms, which goes on while a machine sleeps
 */
export function watchForSleep(clock: Clock, today: () => number, onAwake: () => void): void {
  let lastMs = today();
  const tick = (): void => {
    const nowMs = today();
    if (nowMs - lastMs > CHECK_INTERVAL_MS + MIN_SLEEP_MS) onAwake();
    lastMs = nowMs;
    clock.after(CHECK_INTERVAL_MS, tick);
  };
  clock.after(CHECK_INTERVAL_MS, tick);
}
