import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Worker } from '../members/member.ts';

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
