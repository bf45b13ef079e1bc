/** Time, handed in so that tests can turn it by hand. */
export interface Clock {
  /** Milliseconds since some fixed instant; never goes backwards. */
  now(): number;
  /** Calls back once after `delayMs`; the answer cancels that. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The part of AbortSignal that is used here; every platform's fits. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * Waits, but not longer than until the signal.
 * @param onHurry calls back when there is no reason to wait any longer; its answer ends that
 */
export function pause(
  clock: Clock,
  ms: number,
  signal: AbortSignalLike,
  onHurry?: (callback: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      stayCalm?.();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    const stayCalm = onHurry?.(done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

/** The machine's own time. Node and browsers have these three alike: pass globalThis. */
export function systemClock<Timer>(platform: {
  readonly performance: { now(): number };
  setTimeout(callback: () => void, ms: number): Timer;
  clearTimeout(timer: Timer): void;
}): Clock {
  return {
    now: () => platform.performance.now(),
    after(delayMs, callback) {
      const timer = platform.setTimeout(callback, delayMs);
      return () => platform.clearTimeout(timer);
    },
  };
}
