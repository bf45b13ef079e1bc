import type { Engine, Trainer } from '../engine/engine.ts';
import type { Job } from '../model/job.ts';

/** Keeps the model of the last job built: a worker that reconnects to the same run goes on at once. */
export class TrainerCache {
  readonly #engine: Engine;
  #held: { readonly key: string; readonly trainer: Trainer } | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async load(job: Job): Promise<Trainer> {
    const key = JSON.stringify(job);
    if (this.#held?.key === key) return this.#held.trainer;
    this.dispose();
    const trainer = await this.#engine.load(job);
    this.#held = { key, trainer };
    return trainer;
  }

  dispose(): void {
    this.#held?.trainer.dispose();
    this.#held = null;
  }
}
