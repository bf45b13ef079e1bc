import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type { EngineInfo, WorkerId } from '../../shared/protocol/messages.ts';

interface Vote {
  readonly engine: EngineInfo;
  readonly fingerprint: string;
}

/**
 * Admits only engines that compute the same bits to an exact run. The first step fixes the fingerprint that most ready workers
 * have; of fingerprints with equally many workers, the one that was reported first.
 */
export class EngineFingerprints {
  #expected: string | null;
  /** Engine that had the expected fingerprint first; null if an earlier run fixed it. */
  #decidedBy: EngineInfo | null = null;
  /** Fingerprints of the ready workers, in the order of their reports; empty once the fingerprint is fixed. */
  readonly #votes = new Map<WorkerId, Vote>();

  #started = false;

  /** @param expected fingerprint of the run that is resumed; null for a new run */
  constructor(expected: string | null = null) {
    this.#expected = expected;
  }

  /** Fingerprint that every engine must have; null until the first step has begun. */
  get expected(): string | null {
    return this.#expected;
  }

  /**
   * Checks the fingerprint of a worker that is ready.
   * @throws ProtocolError (fingerprintMismatch) with the reason that the worker is told
   */
  check(worker: WorkerId, engine: EngineInfo, fingerprint: string | undefined): void {
    if (fingerprint === undefined)
      throw fingerprintError('This run is exact, but the worker sent no engine fingerprint.');
    if (this.#expected === null && !this.#started) this.#votes.set(worker, { engine, fingerprint });
    else if (this.#expected === null) {
      // The first step began without workers, so the first worker fixes the fingerprint.
      this.#expected = fingerprint;
      this.#decidedBy = engine;
    } else if (fingerprint !== this.#expected) throw this.#mismatchError(engine);
  }

  /** Removes the vote of a worker that has left. */
  remove(worker: WorkerId): void {
    this.#votes.delete(worker);
  }

  /**
   * Fixes the fingerprint; called when a step begins.
   * @returns workers with another fingerprint, each with the error that the worker is told
   */
  decide(): Map<WorkerId, ProtocolError> {
    const mismatches = new Map<WorkerId, ProtocolError>();
    this.#started = true;
    if (this.#expected !== null || this.#votes.size === 0) return mismatches;
    const counts = new Map<string, number>();
    for (const { fingerprint } of this.#votes.values())
      counts.set(fingerprint, (counts.get(fingerprint) ?? 0) + 1);
    const maxCount = Math.max(...counts.values());
    for (const { fingerprint, engine } of this.#votes.values()) {
      if (this.#expected !== null || counts.get(fingerprint) !== maxCount) continue;
      this.#expected = fingerprint;
      this.#decidedBy = engine;
    }
    for (const [worker, { fingerprint, engine }] of this.#votes) {
      if (fingerprint !== this.#expected) mismatches.set(worker, this.#mismatchError(engine));
    }
    this.#votes.clear();
    return mismatches;
  }

  #mismatchError(engine: EngineInfo): ProtocolError {
    return fingerprintError(
      `This run is exact, but this engine computes other bits: ${this.#explainMismatch(engine)}`,
    );
  }

  #explainMismatch(engine: EngineInfo): string {
    const expected = this.#decidedBy;
    if (expected === null) return "use the run's engine with --threads 1.";
    // The engines are those of the relay's workers.
    if ([expected.backend, engine.backend].includes('relay'))
      return 'use the same engine, with --threads 1, below relays and beside them.';
    if (expected.backend !== engine.backend)
      return `the other workers use ${expected.backend}, not ${engine.backend}.`;
    // Threads of a WebAssembly engine compute blocks of the same tree.
    if (expected.threads !== engine.threads && engine.backend !== 'wasm')
      return `use --threads ${expected.threads}, like the other workers.`;
    if (expected.version !== engine.version)
      return `the others have ${expected.backend} ${expected.version}, not ${engine.version}.`;
    return `its build or processor differs from the others' (${expected.device}).`;
  }
}

const fingerprintError = (reason: string): ProtocolError =>
  new ProtocolError(CloseCode.fingerprintMismatch, reason);
