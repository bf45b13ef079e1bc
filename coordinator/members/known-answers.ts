import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type { EngineInfo, WorkerId } from '../../shared/protocol/messages.ts';

interface Vote {
  readonly engine: EngineInfo;
  readonly answer: string;
}

/**
 * Lets only engines take part in an exact run that compute the same bits: those of most workers that are there before the
 * first step, and, of as many, those that came first.
 */
export class KnownAnswers {
  #expected: string | null;
  /** Whose answer it was; null if an earlier run's. */
  #decidedBy: EngineInfo | null = null;
  /** Until it is decided; in the order in which they came. */
  readonly #votes = new Map<WorkerId, Vote>();

  #begun = false;

  /** @param expected of the run that is resumed; null for a new one */
  constructor(expected: string | null = null) {
    this.#expected = expected;
  }

  /** Null until the first step has begun. */
  get expected(): string | null {
    return this.#expected;
  }

  /**
   * A worker is ready.
   * @throws ProtocolError (otherBits) with the sentence that the worker is told
   */
  check(worker: WorkerId, engine: EngineInfo, answer: string | undefined): void {
    if (answer === undefined)
      throw otherBits('This run is exact, and the worker has not said what bits it computes.');
    if (this.#expected === null && !this.#begun) this.#votes.set(worker, { engine, answer });
    else if (this.#expected === null) {
      // The run waited for it.
      this.#expected = answer;
      this.#decidedBy = engine;
    } else if (answer !== this.#expected) throw this.#other(engine);
  }

  /** It does not count any more. */
  left(worker: WorkerId): void {
    this.#votes.delete(worker);
  }

  /**
   * The first step begins: from now on bits are fixed.
   * @returns the workers that compute others, with what they are told
   */
  decide(): Map<WorkerId, ProtocolError> {
    const others = new Map<WorkerId, ProtocolError>();
    this.#begun = true;
    if (this.#expected !== null || this.#votes.size === 0) return others;
    const counts = new Map<string, number>();
    for (const { answer } of this.#votes.values()) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const { answer, engine } of this.#votes.values()) {
      if (this.#expected !== null || counts.get(answer) !== most) continue;
      this.#expected = answer;
      this.#decidedBy = engine;
    }
    for (const [worker, { answer, engine }] of this.#votes) {
      if (answer !== this.#expected) others.set(worker, this.#other(engine));
    }
    this.#votes.clear();
    return others;
  }

  #other(engine: EngineInfo): ProtocolError {
    return otherBits(`This run is exact, and other bits are computed here: ${this.#difference(engine)}`);
  }

  #difference(engine: EngineInfo): string {
    const first = this.#decidedBy;
    if (first === null) return "use the run's engine, with --threads 1.";
    if (first.backend !== engine.backend) return `the others use ${first.backend}, not ${engine.backend}.`;
    if (first.threads !== engine.threads) return `use --threads ${first.threads}, as the others do.`;
    return `another build or processor than that of the others (${first.device}).`;
  }
}

const otherBits = (sentence: string): ProtocolError => new ProtocolError(CloseCode.otherBits, sentence);
