import type { Clock } from '../../shared/util/clock.ts';

/** Why the page pauses without being asked to: the battery is low, or the page was left and may come back. */
export type PauseCause = 'battery' | 'left';

/** What the page lets this do. */
export interface Pausable {
  /** Whether the tab takes part, or is about to. */
  readonly isParticipating: () => boolean;
  readonly pause: () => void;
  readonly join: () => void;
}

/** Pauses of the page's own. Each ends with what it began for, unless the person has decided otherwise meanwhile. */
export function createAutoPause({ isParticipating, pause, join }: Pausable) {
  let cause: PauseCause | null = null;
  return {
    /** @returns whether there was anything to pause */
    begin(why: PauseCause): boolean {
      if (!isParticipating()) return false;
      cause = why;
      pause();
      return true;
    },
    end(why: PauseCause): void {
      if (cause !== why) return;
      cause = null;
      if (!isParticipating()) join();
    },
    /** To be called when the page's state has changed: who goes on in spite of a pause has ended it. */
    settle(): void {
      if (isParticipating()) cause = null;
    },
  };
}

/** What is used here of the browser's BatteryManager, which Chromium alone has, and for https alone. */
export interface Battery {
  readonly charging: boolean;
  /** From 0 to 1. */
  readonly level: number;
  addEventListener(type: 'chargingchange' | 'levelchange', listener: () => void): void;
}

/** Below this a battery is left to its owner. */
const LOW_BATTERY_LEVEL = 0.2;

/** Whether computing would take what the owner needs. */
export const isBatteryLow = ({ charging, level }: Pick<Battery, 'charging' | 'level'>): boolean =>
  !charging && level < LOW_BATTERY_LEVEL;

/**
 * Calls back when the battery becomes low, and when it is so no more; at once if it is low already. Once for each change,
 * so that a person who goes on regardless is not stopped again.
 */
export function watchBattery(battery: Battery, onChange: (low: boolean) => void): void {
  let low = false;
  const look = (): void => {
    if (isBatteryLow(battery) === low) return;
    low = !low;
    onChange(low);
  };
  battery.addEventListener('chargingchange', look);
  battery.addEventListener('levelchange', look);
  look();
}

/** Keeps the screen, and with it the machine, awake. */
export interface WakeLockSource {
  request(type: 'screen'): Promise<{ readonly released: boolean; release(): Promise<void> }>;
}

/**
 * Holds a wake lock while it is wanted. Browsers take it away when a page is hidden, and refuse it on a low battery: it
 * is asked for again at every occasion.
 * @returns to be called with whether one is wanted, whenever that, or the page's visibility, may have changed
 */
export function createWakeLock(source: WakeLockSource): (wanted: boolean) => Promise<void> {
  let held: Awaited<ReturnType<WakeLockSource['request']>> | null = null;
  let last: Promise<void> = Promise.resolve();
  const settle = async (wanted: boolean): Promise<void> => {
    if (held?.released === true) held = null;
    try {
      if (wanted) held ??= await source.request('screen');
      else {
        await held?.release();
        held = null;
      }
    } catch {
      // Refused: the machine may sleep, and the tab joins again when it wakes.
    }
  };
  return (wanted) => (last = last.then(() => settle(wanted)));
}

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
