import type { Task, WorkerId } from '../../shared/protocol/messages.ts';
import type { Worker } from '../pool/worker.ts';

/** No worker computes a finite gradient, or loss. */
export class TrainingDiverged extends Error {
  constructor(step: number, task: Task = 'train') {
    super(
      `Training diverged: at step ${step} no worker gets a finite ${task === 'train' ? 'gradient' : 'loss'}. Try a smaller learning rate or another seed.`,
    );
    this.name = 'TrainingDiverged';
  }
}

/** The run was stopped while no worker was connected to finish the step. */
export class Interrupted extends Error {
  constructor() {
    super('Interrupted while no worker was connected.');
    this.name = 'Interrupted';
  }
}

/** Tells a training that diverges from wrong workers, by the answers of a round that are not finite. */
export class DivergenceDetector {
  readonly #reporters = new Set<Worker>();

  get hasReports(): boolean {
    return this.#reporters.size > 0;
  }

  /**
   * Records an answer that is not finite.
   * @param asked workers of the round
   * @param present all workers of the pool
   * @returns whether training diverges: two or more workers of this round have had answers accepted before, and all of them
   *   report values that are not finite. New workers alone cannot end a run.
   */
  record(worker: Worker, asked: readonly WorkerId[], present: Iterable<Worker>): boolean {
    this.#reporters.add(worker);
    const inRound = new Set([...asked, ...[...this.#reporters].map(({ id }) => id)]);
    const proven = [...present].filter(({ id, health }) => inRound.has(id) && health.acceptedAnswers > 0);
    return proven.length > 1 && proven.every((other) => this.#reporters.has(other));
  }
}
