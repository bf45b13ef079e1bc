import type { WorkerId } from '../../../shared/protocol/messages.ts';

interface Trial {
  /** Steps until the next one. */
  wait: number;
  /** Steps from one to the next. */
  interval: number;
  /** Shards of this one that are still to be given. */
  left: number;
}

const FIRST_INTERVAL = 50;
const LONGEST_INTERVAL = 800;
/** As many answers as a pace needs to follow. */
const SHARDS = 4;

/** Says when those in reserve are tried again: after some steps, then ever more rarely. */
export class Trials {
  readonly #trials = new Map<WorkerId, Trial>();

  /** Called once a step for each worker in reserve that is idle. @returns whether it is tried in this one */
  isDue(worker: WorkerId): boolean {
    const trial = this.#trials.get(worker) ?? {
      wait: FIRST_INTERVAL,
      interval: FIRST_INTERVAL,
      left: SHARDS,
    };
    this.#trials.set(worker, trial);
    if (trial.wait > 0) {
      trial.wait--;
      return false;
    }
    if (--trial.left === 0) {
      trial.interval = Math.min(LONGEST_INTERVAL, 2 * trial.interval);
      trial.wait = trial.interval;
      trial.left = SHARDS;
    }
    return true;
  }

  /** Forgets everybody else. */
  keep(workers: { has(worker: WorkerId): boolean }): void {
    for (const worker of this.#trials.keys()) if (!workers.has(worker)) this.#trials.delete(worker);
  }

  /** It is not in reserve any more. */
  forget(worker: WorkerId): void {
    this.#trials.delete(worker);
  }
}
