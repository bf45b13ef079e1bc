import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type { EngineInfo } from '../../shared/protocol/messages.ts';

/** Lets only engines take part in an exact run that compute the same bits; the first one says which. */
export class KnownAnswers {
  #expected: string | null;
  /** Whose answer it was; null if an earlier run's. */
  #first: EngineInfo | null = null;

  /** @param expected of the run that is gone on with; null for a new one */
  constructor(expected: string | null = null) {
    this.#expected = expected;
  }

  /** Null until somebody has answered. */
  get expected(): string | null {
    return this.#expected;
  }

  /** @throws ProtocolError (otherBits) with the sentence that the worker is told */
  check(engine: EngineInfo, answer: string | undefined): void {
    if (answer === undefined)
      throw otherBits('This run is exact, and the worker has not said what bits it computes.');
    if (this.#expected === null) {
      this.#expected = answer;
      this.#first = engine;
    }
    if (answer === this.#expected) return;
    throw otherBits(`This run is exact, and other bits are computed here: ${this.#difference(engine)}`);
  }

  #difference(engine: EngineInfo): string {
    const first = this.#first;
    if (first === null) return "use the run's engine, with --threads 1.";
    if (first.backend !== engine.backend) return `the others use ${first.backend}, not ${engine.backend}.`;
    if (first.threads !== engine.threads) return `use --threads ${first.threads}, as the others do.`;
    return `another build or processor than that of the others (${first.device}).`;
  }
}

const otherBits = (sentence: string): ProtocolError => new ProtocolError(CloseCode.otherBits, sentence);
