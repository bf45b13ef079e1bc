/** Source of time, injected so that tests control it. */
export interface Clock {
  /** Milliseconds since a fixed instant; never goes backwards. */
  now(): number;
  /** Calls back once after `delayMs`. @returns cancels the callback */
  after(delayMs: number, callback: () => void): () => void;
}

/** Members of AbortSignal that this code uses, without a dependency on a platform's types. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * Waits for a time, or until the signal aborts.
 * @param onRetryNow subscribes to an event that ends the wait early, and returns a function that unsubscribes
 */
export function pause(
  clock: Clock,
  ms: number,
  signal: AbortSignalLike,
  onRetryNow?: (callback: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      unsubscribe?.();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    const unsubscribe = onRetryNow?.(done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

/** Clock of the platform. Node and browsers share these three functions: pass globalThis. */
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
