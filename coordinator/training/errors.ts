import type { Task, WorkerId } from '../../shared/protocol/messages.ts';
import type { Worker } from '../pool/worker.ts';

/** The gradient, or the loss, is not finite whoever computes it. */
export class TrainingDiverged extends Error {
  constructor(step: number, task: Task = 'train') {
    super(
      `Training diverged: at step ${step} no worker gets a finite ${task === 'train' ? 'gradient' : 'loss'}. Try a smaller learning rate or another seed.`,
    );
    this.name = 'TrainingDiverged';
  }
}

/** The person asked to stop while nobody was there to finish the step. */
export class Interrupted extends Error {
  constructor() {
    super('Interrupted while no worker was connected.');
    this.name = 'Interrupted';
  }
}

/** Whose answers of a round had values that are not finite: are they at fault, or the weights? */
export class DivergenceDetector {
  readonly #reporters = new Set<Worker>();

  get hasReports(): boolean {
    return this.#reporters.size > 0;
  }

  /**
   * Notes one more.
   * @param asked the workers of the round
   * @param present everybody who is there
   * @returns whether it is the weights' fault: all workers of this round whose answers have counted before, two or more,
   * have found the same in it. Strangers cannot end a run so.
   */
  record(member: Worker, asked: readonly WorkerId[], present: Iterable<Worker>): boolean {
    this.#reporters.add(member);
    const ofRound = new Set([...asked, ...[...this.#reporters].map(({ id }) => id)]);
    const proven = [...present].filter(({ id, acceptedAnswers }) => ofRound.has(id) && acceptedAnswers > 0);
    return proven.length > 1 && proven.every((other) => this.#reporters.has(other));
  }
}
