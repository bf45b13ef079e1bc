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
