import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type { EngineInfo, WorkerId } from '../../shared/protocol/messages.ts';

interface Vote {
  readonly engine: EngineInfo;
  readonly fingerprint: string;
}

/**
 * Lets only engines take part in an exact run that compute the same bits: those of most workers that are there before the
 * first step, and, of as many, those that came first.
 */
export class EngineFingerprints {
  #expected: string | null;
  /** Whose answer it was; null if an earlier run's. */
  #decidedBy: EngineInfo | null = null;
  /** Until it is decided; in the order in which they came. */
  readonly #votes = new Map<WorkerId, Vote>();

  #started = false;

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
  check(worker: WorkerId, engine: EngineInfo, fingerprint: string | undefined): void {
    if (fingerprint === undefined)
      throw fingerprintError('This run is exact, and the worker has not said what bits it computes.');
    if (this.#expected === null && !this.#started) this.#votes.set(worker, { engine, fingerprint });
    else if (this.#expected === null) {
      // The run waited for it.
      this.#expected = fingerprint;
      this.#decidedBy = engine;
    } else if (fingerprint !== this.#expected) throw this.#mismatchError(engine);
  }

  /** It does not count any more. */
  remove(worker: WorkerId): void {
    this.#votes.delete(worker);
  }

  /**
   * The first step begins: from now on bits are fixed.
   * @returns the workers that compute others, with what they are told
   */
  decide(): Map<WorkerId, ProtocolError> {
    const others = new Map<WorkerId, ProtocolError>();
    this.#started = true;
    if (this.#expected !== null || this.#votes.size === 0) return others;
    const counts = new Map<string, number>();
    for (const { fingerprint } of this.#votes.values())
      counts.set(fingerprint, (counts.get(fingerprint) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const { fingerprint: answer, engine } of this.#votes.values()) {
      if (this.#expected !== null || counts.get(answer) !== most) continue;
      this.#expected = answer;
      this.#decidedBy = engine;
    }
    for (const [worker, { fingerprint: answer, engine }] of this.#votes) {
      if (answer !== this.#expected) others.set(worker, this.#mismatchError(engine));
    }
    this.#votes.clear();
    return others;
  }

  #mismatchError(engine: EngineInfo): ProtocolError {
    return fingerprintError(
      `This run is exact, and other bits are computed here: ${this.#difference(engine)}`,
    );
  }

  #difference(engine: EngineInfo): string {
    const first = this.#decidedBy;
    if (first === null) return "use the run's engine, with --threads 1.";
    if (first.backend !== engine.backend) return `the others use ${first.backend}, not ${engine.backend}.`;
    if (first.threads !== engine.threads) return `use --threads ${first.threads}, as the others do.`;
    return `another build or processor than that of the others (${first.device}).`;
  }
}

const fingerprintError = (sentence: string): ProtocolError =>
  new ProtocolError(CloseCode.fingerprintMismatch, sentence);
