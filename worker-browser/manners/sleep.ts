import type { Clock } from '../../shared/clock.ts';

const TICK_MS = 5_000;
/** A tick that comes this much late was not delayed by a busy processor. */
const SLEPT_MS = 15_000;

/**
 * Calls back after the machine has slept, or the browser has frozen the tab: the time of day has then moved on further
 * than the timers.
 * @param today the time of day, in ms, which goes on while a machine sleeps
 */
export function watchForSleep(clock: Clock, today: () => number, onAwake: () => void): void {
  let lastMs = today();
  const tick = (): void => {
    const nowMs = today();
    if (nowMs - lastMs > TICK_MS + SLEPT_MS) onAwake();
    lastMs = nowMs;
    clock.after(TICK_MS, tick);
  };
  clock.after(TICK_MS, tick);
}
