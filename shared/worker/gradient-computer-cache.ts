import type { Engine, GradientComputer } from '../engine/engine.ts';
import type { Job } from '../model/job.ts';
import { computeFingerprint } from './engine-fingerprint.ts';

/** A job's model, built by an engine. */
export interface CachedComputer {
  readonly computer: GradientComputer;
  /** Null unless the run is exact. */
  readonly fingerprint: string | null;
}

/** Keeps the model of the last job, so that a worker that reconnects to the same run does not build it again. */
export class GradientComputerCache {
  readonly #engine: Engine;
  #cached: (CachedComputer & { readonly key: string }) | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** @param module address of the job's custom code; see Engine */
  async load(job: Job, module?: string): Promise<CachedComputer> {
    const key = JSON.stringify(job);
    if (this.#cached?.key === key) return this.#cached;
    this.dispose();
    const computer = await this.#engine.load(job, module);
    try {
      const fingerprint =
        job.microShard === undefined
          ? null
          : (computer.fingerprint?.() ?? (await computeFingerprint(computer, job)));
      this.#cached = { key, computer, fingerprint };
      return this.#cached;
    } catch (error) {
      computer.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#cached?.computer.dispose();
    this.#cached = null;
  }
}
