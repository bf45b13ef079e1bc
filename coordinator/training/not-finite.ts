import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Member } from '../members/member.ts';

/** Whose answers of a round had values that are not finite: are they at fault, or the weights? */
export class NotFiniteAnswers {
  readonly #from = new Set<Member>();

  get any(): boolean {
    return this.#from.size > 0;
  }

  /**
   * Notes one more.
   * @param asked the workers of the round
   * @param present everybody who is there
   * @returns whether it is the weights' fault: all workers of this round whose answers have counted before, two or more,
   * have found the same in it. Strangers cannot end a run so.
   */
  add(member: Member, asked: readonly WorkerId[], present: Iterable<Member>): boolean {
    this.#from.add(member);
    const ofRound = new Set([...asked, ...[...this.#from].map(({ id }) => id)]);
    const proven = [...present].filter(({ id, accepted }) => ofRound.has(id) && accepted > 0);
    return proven.length > 1 && proven.every((other) => this.#from.has(other));
  }
}
