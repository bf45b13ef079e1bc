import type { WorkerId } from '../../shared/protocol/messages.ts';

interface Probation {
  /** Steps until the next one. */
  stepsToWait: number;
  /** Steps from one to the next. */
  intervalSteps: number;
  /** Shards of this one that are still to be given. */
  shardsLeft: number;
}

const INITIAL_INTERVAL_STEPS = 50;
const MAX_INTERVAL_STEPS = 800;
/** As many answers as a pace needs to follow. */
const SHARDS_PER_PROBE = 4;

/** Says when those in reserve are tried again: after some steps, then ever more rarely. */
export class ProbationSchedule {
  readonly #probations = new Map<WorkerId, Probation>();

  /** Called once a step for each worker in reserve that is idle. @returns whether it is tried in this one */
  isProbeDue(worker: WorkerId): boolean {
    const trial = this.#probations.get(worker) ?? {
      stepsToWait: INITIAL_INTERVAL_STEPS,
      intervalSteps: INITIAL_INTERVAL_STEPS,
      shardsLeft: SHARDS_PER_PROBE,
    };
    this.#probations.set(worker, trial);
    if (trial.stepsToWait > 0) {
      trial.stepsToWait--;
      return false;
    }
    if (--trial.shardsLeft === 0) {
      trial.intervalSteps = Math.min(MAX_INTERVAL_STEPS, 2 * trial.intervalSteps);
      trial.stepsToWait = trial.intervalSteps;
      trial.shardsLeft = SHARDS_PER_PROBE;
    }
    return true;
  }

  /** Forgets everybody else. */
  retain(workers: { has(worker: WorkerId): boolean }): void {
    for (const worker of this.#probations.keys()) if (!workers.has(worker)) this.#probations.delete(worker);
  }

  /** It is not in reserve any more. */
  remove(worker: WorkerId): void {
    this.#probations.delete(worker);
  }
}
