/** Keeps the screen on while it is wanted, where the browser can; a device that sleeps computes nothing. */
export function screenKeeper(): { want(wanted: boolean): void } {
  let wanted = false;
  let held: WakeLockSentinel | null = null;
  let asking = false;

  const update = async (): Promise<void> => {
    if (!('wakeLock' in navigator) || asking) return;
    asking = true;
    try {
      if (wanted && held === null && document.visibilityState === 'visible') {
        const lock = await navigator.wakeLock.request('screen');
        lock.addEventListener('release', () => {
          if (held === lock) held = null;
        });
        held = lock;
      } else if (!wanted && held !== null) {
        await held.release();
      }
    } catch {
      // Refused, as on a low battery: then the screen goes off as usual.
    } finally {
      asking = false;
    }
  };
  // The browser takes the lock away from a hidden tab.
  document.addEventListener('visibilitychange', () => void update());
  return {
    want(value) {
      if (wanted === value) return;
      wanted = value;
      void update();
    },
  };
}
