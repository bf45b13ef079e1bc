import type { Clock } from '../../shared/util/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that a test turns by hand. */
export interface ManualClock extends Clock {
  /** Turns the clock, calling every timer that falls due at its own time, in order. Promises settle between. */
  readonly advance: (ms: number) => Promise<void>;
  /** Turns the clock without calling anybody, as a machine that sleeps or a computation that blocks does. */
  readonly skip: (ms: number) => void;
  /** Timers that have neither fallen due nor been cancelled. */
  readonly pending: number;
}

/** Lets everything that waits only for promises run. */
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
