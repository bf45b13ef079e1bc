import type { Engine, Trainer } from '../engine/engine.ts';
import type { Job } from '../model/job.ts';
import { knownAnswer } from './known-answer.ts';

/** A job's model on an engine. */
export interface Loaded {
  readonly trainer: Trainer;
  /** Null where bits do not matter. */
  readonly knownAnswer: string | null;
}

/** Keeps the model of the last job built: a worker that reconnects to the same run goes on at once. */
export class TrainerCache {
  readonly #engine: Engine;
  #held: (Loaded & { readonly key: string }) | null = null;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async load(job: Job): Promise<Loaded> {
    const key = JSON.stringify(job);
    if (this.#held?.key === key) return this.#held;
    this.dispose();
    const trainer = await this.#engine.load(job);
    try {
      const answer = job.microShard === undefined ? null : await knownAnswer(trainer, job);
      this.#held = { key, trainer, knownAnswer: answer };
      return this.#held;
    } catch (error) {
      trainer.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.#held?.trainer.dispose();
    this.#held = null;
  }
}
