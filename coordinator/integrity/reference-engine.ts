import type { Shard } from '../../shared/data/shard.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf, sizeOf } from '../../shared/model/layout.ts';
import type { Score } from '../../shared/model/loss.ts';
import type { Step } from '../../shared/protocol/messages.ts';

/** An engine that the coordinator computes with itself. */
export interface CoordinatorEngine {
  readonly engine: Engine;
  readonly close: () => Promise<void>;
}

/** WebAssembly is fast; plain JavaScript is another implementation of everything, to check the first one by. */
export type CoordinatorEngineKind = 'wasm' | 'cpu';

export type OpenCoordinatorEngine = (kind: CoordinatorEngineKind) => Promise<CoordinatorEngine>;

export interface Recomputed extends Score {
  /** Flat vector in the job's layout. */
  readonly gradient: Float32Array;
}

/** Samples that both engines compute; plain JavaScript takes most of a second for each. */
const VERIFICATION_SAMPLES = 4;
/** The most that two right implementations differ by over so few samples, as a part of the norm. */
const MAX_DIFFERENCE = 0.02;

/** Computes again what workers have answered: one shard after the other, since the engine holds one set of weights. */
export class ReferenceEngine {
  readonly #job: Job;
  readonly #open: OpenCoordinatorEngine;
  #loaded: Promise<{ readonly engine: CoordinatorEngine; readonly trainer: GradientComputer }> | null = null;
  /** Settles when the engine is free. */
  #free: Promise<unknown> = Promise.resolve();
  #engineDifference: Promise<number> | null = null;
  #closed = false;

  constructor(job: Job, open: OpenCoordinatorEngine) {
    this.#job = job;
    this.#open = open;
  }

  /** Opens the engine, so that the first recomputation need not wait. @throws Error if this machine has none */
  async open(): Promise<void> {
    await this.#loadEngine();
  }

  /**
   * @param weights copied before this returns
   * @throws Error if this machine's engine cannot compute it
   */
  async gradient(step: Step, weights: Float32Array, shard: Shard): Promise<Recomputed> {
    const copy = weights.slice();
    return this.#queue(async () => {
      const { trainer } = await this.#loadEngine();
      const gradient = new Float32Array(layoutOf(this.#job.layout).length);
      trainer.setWeights(copy);
      return { ...(await trainer.gradient(step, shard, gradient)), gradient };
    });
  }

  /** @throws Error if this machine's engine cannot compute it */
  async evaluate(weights: Float32Array, shard: Shard): Promise<Score> {
    const copy = weights.slice();
    return this.#queue(async () => {
      const { trainer } = await this.#loadEngine();
      trainer.setWeights(copy);
      return trainer.evaluate(shard);
    });
  }

  /**
   * Whether this machine's engine computes this model right: compared once with another implementation, before a worker is
   * banned for a difference.
   * @returns by how much they differ, if that is too much; null otherwise
   */
  async verifyEngine(step: Step, weights: Float32Array, shard: Shard): Promise<number | null> {
    const copy = weights.slice();
    this.#engineDifference ??= this.#queue(() => this.#measureEngineDifference(step, copy, shard));
    const difference = await this.#engineDifference;
    return difference <= MAX_DIFFERENCE ? null : difference;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const own = await this.#loaded?.catch(() => null);
    await own?.engine.close();
  }

  /** The least difference over a few shards: a ReLU at zero may make one. */
  async #measureEngineDifference(step: Step, weights: Float32Array, shard: Shard): Promise<number> {
    const { trainer } = await this.#loadEngine();
    const other = await this.#open('cpu');
    try {
      const second = await other.engine.load(this.#job);
      let least = Infinity;
      for (
        let from = 0;
        from < shard.labels.length && least > MAX_DIFFERENCE && from < 2 * VERIFICATION_SAMPLES;
        from += VERIFICATION_SAMPLES
      ) {
        const part = sliceShard(shard, from, from + VERIFICATION_SAMPLES, sizeOf(this.#job.data.sampleShape));
        const [a, b] = [weights, weights].map(() => new Float32Array(weights.length)) as [
          Float32Array,
          Float32Array,
        ];
        trainer.setWeights(weights.slice());
        second.setWeights(weights.slice());
        await trainer.gradient(step, part, a);
        await second.gradient(step, part, b);
        least = Math.min(least, relativeDifference(a, b));
      }
      return least;
    } finally {
      await other.close();
    }
  }

  #queue<Result>(compute: () => Promise<Result>): Promise<Result> {
    const result = this.#free.then(compute);
    this.#free = result.catch(() => undefined);
    return result;
  }

  #loadEngine(): Promise<{ readonly engine: CoordinatorEngine; readonly trainer: GradientComputer }> {
    if (this.#closed) return Promise.reject(new Error('The run is over.'));
    this.#loaded ??= this.#open('wasm').then(async (engine) => ({
      engine,
      trainer: await engine.engine.load(this.#job),
    }));
    return this.#loaded;
  }
}

function sliceShard(
  { sampleNumbers, images, labels }: Shard,
  from: number,
  to: number,
  bytes: number,
): Shard {
  return {
    sampleNumbers: sampleNumbers.slice(from, to),
    images: images.slice(from * bytes, to * bytes),
    labels: labels.slice(from, to),
  };
}

function relativeDifference(a: Float32Array, b: Float32Array): number {
  let [squares, norm] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    squares += ((a[i] as number) - (b[i] as number)) ** 2;
    norm += (a[i] as number) ** 2;
  }
  return Math.sqrt(squares / Math.max(norm, Number.MIN_VALUE));
}
