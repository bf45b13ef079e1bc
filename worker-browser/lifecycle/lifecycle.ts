import {
  watchBattery,
  type Battery,
  createAutoPause,
  type Pausable,
  createWakeLock,
  type WakeLockSource,
} from './policies.ts';

/** The page, as its surroundings may use it. */
export interface LifecycleOptions extends Pausable {
  /** Whether the tab computes, so that the machine should stay awake. */
  readonly isContributing: () => boolean;
  /** Called when the network or the machine is back. */
  readonly retryNow: () => void;
  /** Shows a line to the person. */
  readonly note: (line: string) => void;
}

/** Navigator with the parts that some browsers lack. */
type ExtendedNavigator = Omit<Navigator, 'wakeLock'> & {
  readonly wakeLock?: WakeLockSource;
  getBattery?(): Promise<Battery>;
};

const LOW_BATTERY =
  'Paused because the battery is below 20%. The tab continues when the machine is plugged in.';

/**
 * Reacts to the page's surroundings: a low battery, sleep, loss and return of the network, leaving the page.
 * @returns callback for every change of the page's state
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
  const setAwake = browser.wakeLock === undefined ? null : createWakeLock(browser.wakeLock);
  const autoPause = createAutoPause({ isParticipating, pause, join });
  const onStateChange = (): void => {
    autoPause.onStateChange();
    void setAwake?.(isContributing() && document.visibilityState === 'visible');
  };

  browser.getBattery?.().then(
    (battery) =>
      watchBattery(battery, (low) => {
        if (!low) autoPause.end('battery');
        else if (autoPause.begin('battery')) note(LOW_BATTERY);
      }),
    () => undefined, // Browsers may be set to hide the battery from pages.
  );
  addEventListener('online', retryNow);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') retryNow();
    onStateChange();
  });
  // A tab may have missed messages, or lost its connections, while it was frozen.
  document.addEventListener('resume', retryNow);
  // The coordinator learns at once that the worker leaves. Browsers may keep the page and show it again later.
  addEventListener('pagehide', () => void autoPause.begin('navigation'));
  addEventListener('pageshow', () => autoPause.end('navigation'));
  return onStateChange;
}
