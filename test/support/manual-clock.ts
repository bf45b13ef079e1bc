import type { Clock } from '../../shared/util/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that a test advances. */
export interface ManualClock extends Clock {
  /** Advances the clock and calls each timer at its due time, in order. Promises settle between timers. */
  readonly advance: (ms: number) => Promise<void>;
  /** Advances the clock without calling timers, like a suspended machine or a blocking computation. */
  readonly skip: (ms: number) => void;
  /** Number of timers that are neither due nor cancelled. */
  readonly pending: number;
}

/** Waits until all pending promise reactions have run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

export function manualClock(startMs = 0): ManualClock {
  let nowMs = startMs;
  const timers = new Set<Timer>();
  const nextDue = (untilMs: number): Timer | undefined =>
    [...timers].filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0];
  return {
    now: () => nowMs,
    after(delayMs, callback) {
      const timer = { dueMs: nowMs + delayMs, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settle();
      for (let timer = nextDue(untilMs); timer !== undefined; timer = nextDue(untilMs)) {
        timers.delete(timer);
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.callback();
        await settle();
      }
      nowMs = untilMs;
    },
    skip: (ms) => void (nowMs += ms),
    get pending() {
      return timers.size;
    },
  };
}
