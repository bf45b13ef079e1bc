/** How long nothing must have been answered: the last answer is then on its way, and not waiting in this process. */
const IDLE_AFTER_MS = 10;
/** Where steps follow each other faster than that, a task comes at last after so many looks. */
const MAX_CHECKS = 20;

/** Puts work off until nobody waits for this process. */
export interface IdleScheduler {
  /** An answer has just been given. */
  recordAnswer(): void;
  schedule(task: () => void): void;
}

/** Idle by the clock; a task that is left does not keep the process alive. */
export function createIdleScheduler(): IdleScheduler {
  let answeredAtMs = 0;
  const look = (task: () => void, looksLeft: number): void => {
    const timer = setTimeout(() => {
      if (looksLeft > 0 && performance.now() - answeredAtMs < IDLE_AFTER_MS) look(task, looksLeft - 1);
      else task();
    }, IDLE_AFTER_MS);
    timer.unref();
  };
  return {
    recordAnswer: () => {
      answeredAtMs = performance.now();
    },
    schedule: (task) => look(task, MAX_CHECKS),
  };
}

/** Idle when it is told so: work that was put off is done then. */
export interface ManualIdle extends IdleScheduler {
  /** How much work was put off. */
  pending(): number;
  run(): void;
}

export function manualIdle(): ManualIdle {
  const tasks: (() => void)[] = [];
  return {
    recordAnswer: () => undefined,
    schedule: (task) => void tasks.push(task),
    pending: () => tasks.length,
    run: () => {
      for (const task of tasks.splice(0)) task();
    },
  };
}
