import {
  watchBattery,
  type Battery,
  createAutoPause,
  type Pausable,
  createWakeLock,
  type WakeLockSource,
} from './policies.ts';

/** What the page lets its surroundings do. */
export interface LifecycleOptions extends Pausable {
  /** Whether it computes: there is something to stay awake for. */
  readonly isContributing: () => boolean;
  /** The network or the machine is back. */
  readonly retryNow: () => void;
  /** Tells the person. */
  readonly note: (line: string) => void;
}

/** What not every browser has. */
type ExtendedNavigator = Omit<Navigator, 'wakeLock'> & {
  readonly wakeLock?: WakeLockSource;
  getBattery?(): Promise<Battery>;
};

const LOW_BATTERY =
  'Paused because the battery is below 20%. It goes on by itself when the machine is plugged in.';

/**
 * Minds what happens around the page: a battery that runs low, sleep, a network that comes and goes, the page being left.
 * @returns to be called when the page's state has changed
 */
export function watchPageLifecycle({
  isParticipating,
  isContributing,
  pause,
  join,
  retryNow,
  note,
}: LifecycleOptions): () => void {
  const browser = navigator as unknown as ExtendedNavigator;
  const stayAwake = browser.wakeLock === undefined ? null : createWakeLock(browser.wakeLock);
  const pauses = createAutoPause({ isParticipating, pause, join });
  const settle = (): void => {
    pauses.settle();
    void stayAwake?.(isContributing() && document.visibilityState === 'visible');
  };

  browser.getBattery?.().then(
    (battery) =>
      watchBattery(battery, (low) => {
        if (!low) pauses.end('battery');
        else if (pauses.begin('battery')) note(LOW_BATTERY);
      }),
    () => undefined, // A browser may be set to keep it to itself.
  );
  addEventListener('online', retryNow);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') retryNow();
    settle();
  });
  // A frozen tab goes on; what came over its connections meanwhile may be lost.
  document.addEventListener('resume', retryNow);
  // The coordinator hears it at once and waits for nothing. A browser may keep the page, and bring it back.
  addEventListener('pagehide', () => void pauses.begin('left'));
  addEventListener('pageshow', () => pauses.end('left'));
  return settle;
}
