/** Time since the last answer after which a task runs: the answer has then left this process. */
const IDLE_AFTER_MS = 10;
/** Checks after which a task runs even if steps follow each other faster. */
const MAX_CHECKS = 20;

/** Delays tasks until no answer of this process is awaited. */
export interface IdleScheduler {
  /** Records that an answer was returned. */
  recordAnswer(): void;
  schedule(task: () => void): void;
}

/** Scheduler by the clock. Pending tasks do not keep the process alive. */
export function createIdleScheduler(): IdleScheduler {
  let answeredAtMs = 0;
  const check = (task: () => void, checksLeft: number): void => {
    const timer = setTimeout(() => {
      if (checksLeft > 0 && performance.now() - answeredAtMs < IDLE_AFTER_MS) check(task, checksLeft - 1);
      else task();
    }, IDLE_AFTER_MS);
    timer.unref();
  };
  return {
    recordAnswer: () => {
      answeredAtMs = performance.now();
    },
    schedule: (task) => check(task, MAX_CHECKS),
  };
}

/** Scheduler whose tasks run when run() is called. */
export interface ManualIdle extends IdleScheduler {
  /** Number of scheduled tasks. */
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
