import type { Clock } from '../shared/clock.ts';
import { float32 } from '../shared/codec/float32.ts';
import type { Engine, Trainer } from '../shared/engine/engine.ts';
import type { Job } from '../shared/model/job.ts';
import { layoutOf } from '../shared/model/layout.ts';

/** Twelve times a second look live; more would only take time from the shards. */
const READ_EVERY_MS = 80;

/** A trainer whose weights a picture can be read with, and whether it is at a shard. */
interface Source {
  readonly trainer: Trainer;
  shards: number;
  hasWeights: boolean;
}

/**
 * Classifies one picture with the newest weights: those that a contributing tab holds, between its shards, or those that
 * it is handed. Reads again when the picture or the weights have changed.
 */
export class PictureReader {
  readonly #clock: Clock;
  readonly #tell: (probabilities: readonly number[]) => void;
  #picture: Uint8Array | null = null;
  #source: Source | null = null;
  /** Changed since the last reading. */
  #stale = false;
  #reading: Promise<void> = Promise.resolve();
  #readAtMs = -Infinity;
  #cancel: (() => void) | null = null;
  /** Of handed weights. */
  #held: { readonly key: string; readonly trainer: Trainer } | null = null;

  constructor(clock: Clock, tell: (probabilities: readonly number[]) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** @param picture of the job's sample shape, as stored: 0 to 255; null if there is none */
  show(picture: Uint8Array | null): void {
    this.#picture = picture;
    this.#changed();
  }

  /** The engine, with the picture read between the shards of its trainers. */
  around(engine: Engine): Engine {
    return {
      info: engine.info,
      load: async (job) => this.#between(await engine.load(job)),
    };
  }

  /** Reads with these weights, for a tab that computes no shards. */
  async readWith(engine: Engine, job: Job, payload: Uint8Array): Promise<void> {
    const key = JSON.stringify(job);
    if (this.#held?.key !== key) {
      this.release();
      const trainer = await engine.load(job);
      this.release();
      this.#held = { key, trainer };
    }
    const { trainer } = this.#held;
    trainer.setWeights(float32.decode(payload, layoutOf(job.layout).length));
    this.#source = { trainer, shards: 0, hasWeights: true };
    this.#changed();
  }

  /** Gives back what was made for handed weights. */
  release(): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    if (this.#source?.trainer === held.trainer) this.#source = null;
    void this.#reading.then(() => held.trainer.dispose());
  }

  #between(trainer: Trainer): Trainer {
    const source: Source = { trainer, shards: 0, hasWeights: false };
    this.#source = source;
    // A trainer does one thing at a time.
    const alone = async <T>(compute: () => Promise<T>): Promise<T> => {
      source.shards++;
      try {
        await this.#reading;
        return await compute();
      } finally {
        source.shards--;
        this.#schedule();
      }
    };
    return {
      ...(trainer.room === undefined ? {} : { room: trainer.room }),
      setWeights: (weights, from) => {
        trainer.setWeights(weights, from);
        source.hasWeights = true;
        this.#changed();
      },
      gradient: (...shard) => alone(() => trainer.gradient(...shard)),
      prepare: (step, shard) => trainer.prepare(step, shard),
      evaluate: (shard) => alone(() => trainer.evaluate(shard)),
      predict: (images, samples) => alone(() => trainer.predict(images, samples)),
      dispose: () => {
        if (this.#source === source) this.#source = null;
        void this.#reading.then(() => trainer.dispose());
      },
    };
  }

  #changed(): void {
    this.#stale = true;
    this.#schedule();
  }

  /** After what is being done now: an answer that is ready goes out first. */
  #schedule(): void {
    if (!this.#stale || this.#picture === null || this.#cancel !== null) return;
    const waitMs = Math.max(0, this.#readAtMs + READ_EVERY_MS - this.#clock.now());
    this.#cancel = this.#clock.after(waitMs, () => {
      this.#cancel = null;
      this.#reading = this.#reading.then(() => this.#read());
    });
  }

  async #read(): Promise<void> {
    const source = this.#source;
    const picture = this.#picture;
    // At a shard: its end comes back here.
    if (source === null || picture === null || !source.hasWeights || source.shards > 0) return;
    this.#stale = false;
    this.#readAtMs = this.#clock.now();
    try {
      const probabilities = await source.trainer.predict(picture, 1);
      this.#tell([...probabilities]);
    } catch {
      // The picture of another job, or an engine on its way out: the shards will say it if it matters.
    }
  }
}
