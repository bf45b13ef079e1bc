/** How long nothing must have been answered: the last answer is then on its way, and not waiting in this process. */
const QUIET_MS = 10;
/** Where steps follow each other faster than that, a task comes at last after so many looks. */
const MOST_LOOKS = 20;

/** Puts work off until nobody waits for this process. */
export interface Idle {
  /** An answer has just been given. */
  answered(): void;
  later(task: () => void): void;
}

/** Idle by the clock; a task that is left does not keep the process alive. */
export function createIdle(): Idle {
  let answeredAtMs = 0;
  const look = (task: () => void, looksLeft: number): void => {
    const timer = setTimeout(() => {
      if (looksLeft > 0 && performance.now() - answeredAtMs < QUIET_MS) look(task, looksLeft - 1);
      else task();
    }, QUIET_MS);
    timer.unref();
  };
  return {
    answered: () => {
      answeredAtMs = performance.now();
    },
    later: (task) => look(task, MOST_LOOKS),
  };
}

/** Idle when it is told so: work that was put off is done then. */
export interface IdleWhenTold extends Idle {
  /** How much work was put off. */
  waiting(): number;
  run(): void;
}

export function idleWhenTold(): IdleWhenTold {
  const tasks: (() => void)[] = [];
  return {
    answered: () => undefined,
    later: (task) => void tasks.push(task),
    waiting: () => tasks.length,
    run: () => {
      for (const task of tasks.splice(0)) task();
    },
  };
}
