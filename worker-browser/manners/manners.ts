import { watchBattery, type Battery } from './battery.ts';
import { keepAwake, type WakeLockSource } from './wake-lock.ts';

/** What the page lets its surroundings do. */
export interface Attended {
  /** Whether the tab takes part, or is about to. */
  readonly takesPart: () => boolean;
  readonly pause: () => void;
  readonly join: () => void;
  /** The network or the machine is back. */
  readonly hurry: () => void;
  /** Tells the person. */
  readonly note: (line: string) => void;
}

/** What not every browser has. */
type MoreNavigator = Omit<Navigator, 'wakeLock'> & {
  readonly wakeLock?: WakeLockSource;
  getBattery?(): Promise<Battery>;
};

/**
 * Minds what happens around the page: a battery that runs low, sleep, a network that comes and goes, the page being left.
 * @returns to be called when the page's state has changed
 */
export function mindManners({ takesPart, pause, join, hurry, note }: Attended): () => void {
  const browser = navigator as unknown as MoreNavigator;
  const stayAwake = browser.wakeLock === undefined ? null : keepAwake(browser.wakeLock);
  const settle = (): void => void stayAwake?.(takesPart() && document.visibilityState === 'visible');
  /** Paused by this, not by the person. */
  let pausedHere = false;
  const pauseHere = (line: string | null): void => {
    if (!takesPart()) return;
    pausedHere = true;
    pause();
    if (line !== null) note(line);
  };
  const joinAgain = (): void => {
    if (pausedHere && !takesPart()) join();
    pausedHere = false;
  };

  void browser.getBattery?.().then((battery) =>
    watchBattery(battery, (low) => {
      if (low) {
        pauseHere(
          'Paused because the battery is below 20%. It goes on by itself when the machine is plugged in.',
        );
      } else joinAgain();
    }),
  );
  addEventListener('online', hurry);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') hurry();
    settle();
  });
  // A frozen tab goes on; what came over its connections meanwhile may be lost.
  document.addEventListener('resume', hurry);
  // The coordinator hears it at once and waits for nothing. A browser may keep the page, and bring it back.
  addEventListener('pagehide', () => pauseHere(null));
  addEventListener('pageshow', joinAgain);
  return settle;
}
