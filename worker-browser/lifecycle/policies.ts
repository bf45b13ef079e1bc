import type { Clock } from '../../shared/util/clock.ts';

/** Why the page pauses by itself: the battery is low, or the person has left the page and may come back. */
export type PauseCause = 'battery' | 'navigation';

/** The page, as automatic pauses use it. */
export interface Pausable {
  /** Whether the tab takes part, or is about to. */
  readonly isParticipating: () => boolean;
  readonly pause: () => void;
  readonly join: () => void;
}

/** Automatic pauses. Each ends with its cause, unless the person has continued or paused meanwhile. */
export function createAutoPause({ isParticipating, pause, join }: Pausable) {
  let current: PauseCause | null = null;
  return {
    /** @returns whether the tab took part, and is now paused */
    begin(cause: PauseCause): boolean {
      if (!isParticipating()) return false;
      current = cause;
      pause();
      return true;
    },
    end(cause: PauseCause): void {
      if (current !== cause) return;
      current = null;
      if (!isParticipating()) join();
    },
    /** To be called for every change of the page's state: a person who continues ends the automatic pause. */
    onStateChange(): void {
      if (isParticipating()) current = null;
    },
  };
}

/** The part of the browser's BatteryManager that is used here. Only Chromium has it, in secure contexts. */
export interface Battery {
  readonly charging: boolean;
  /** From 0 to 1. */
  readonly level: number;
  addEventListener(type: 'chargingchange' | 'levelchange', listener: () => void): void;
}

/** Below this level the tab pauses and leaves the battery to the person. */
const LOW_BATTERY_LEVEL = 0.2;

const isBatteryLow = ({ charging, level }: Pick<Battery, 'charging' | 'level'>): boolean =>
  !charging && level < LOW_BATTERY_LEVEL;

/**
 * Calls back once for each change between low and not low, and at once if the battery is low from the start. A person who
 * continues on a low battery is therefore not interrupted again.
 */
export function watchBattery(battery: Battery, onChange: (low: boolean) => void): void {
  let low = false;
  const check = (): void => {
    if (isBatteryLow(battery) === low) return;
    low = !low;
    onChange(low);
  };
  battery.addEventListener('chargingchange', check);
  battery.addEventListener('levelchange', check);
  check();
}

/** Keeps the screen, and with it the machine, awake. */
export interface WakeLockSource {
  request(type: 'screen'): Promise<{ readonly released: boolean; release(): Promise<void> }>;
}

/**
 * Holds a wake lock while it is wanted. Browsers release it when a page is hidden and refuse it on a low battery, so each
 * call requests it again where it is missing.
 * @returns function to be called with whether a lock is wanted, after every change of that or of the page's visibility
 */
export function createWakeLock(source: WakeLockSource): (wanted: boolean) => Promise<void> {
  let lock: Awaited<ReturnType<WakeLockSource['request']>> | null = null;
  let last: Promise<void> = Promise.resolve();
  const update = async (wanted: boolean): Promise<void> => {
    if (lock?.released === true) lock = null;
    try {
      if (wanted) lock ??= await source.request('screen');
      else {
        await lock?.release();
        lock = null;
      }
    } catch {
      // Without a lock the machine may sleep; the tab joins again when it wakes.
    }
  };
  return (wanted) => (last = last.then(() => update(wanted)));
}

const CHECK_INTERVAL_MS = 5_000;
/** A check that is later than this was delayed by a sleep, not by a busy processor. */
const MIN_SLEEP_MS = 15_000;

/**
 * Calls back after the machine has slept or the browser has frozen the tab: the time of day has then advanced further
 * than the timers.
 * @param timeOfDay in ms; advances while a machine sleeps
 */
export function watchForSleep(clock: Clock, timeOfDay: () => number, onAwake: () => void): void {
  let lastMs = timeOfDay();
  const check = (): void => {
    const nowMs = timeOfDay();
    if (nowMs - lastMs > CHECK_INTERVAL_MS + MIN_SLEEP_MS) onAwake();
    lastMs = nowMs;
    clock.after(CHECK_INTERVAL_MS, check);
  };
  clock.after(CHECK_INTERVAL_MS, check);
}
