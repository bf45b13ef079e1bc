import { sliceShard, type Shard } from '../../shared/data/shard.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Score } from '../../shared/model/scoring.ts';
import type { Step } from '../../shared/protocol/messages.ts';

/** Engine in the coordinator, for checks of answers. */
export interface CoordinatorEngine {
  readonly engine: Engine;
  readonly close: () => Promise<void>;
}

/** WebAssembly is fast. Plain JavaScript is an independent implementation, to verify the first one. */
export type CoordinatorEngineKind = 'wasm' | 'cpu';

export type OpenCoordinatorEngine = (kind: CoordinatorEngineKind) => Promise<CoordinatorEngine>;

export interface Recomputed extends Score {
  /** Gradient as a flat vector in the job's layout. */
  readonly gradient: Float32Array;
}

/** Samples for a comparison of both engines; plain JavaScript takes almost a second for each. */
const VERIFICATION_SAMPLES = 4;
/** Maximum difference of two correct implementations over so few samples, as a fraction of the norm. */
const MAX_DIFFERENCE = 0.02;

/** Recomputes shards on this machine, one after the other, since the engine holds one set of weights. */
export class ReferenceEngine {
  readonly #job: Job;
  readonly #open: OpenCoordinatorEngine;
  readonly #module: string | undefined;
  #loaded: Promise<{ readonly engine: CoordinatorEngine; readonly computer: GradientComputer }> | null = null;
  /** Settled when the engine is idle. */
  #idle: Promise<unknown> = Promise.resolve();
  #engineDifference: Promise<number> | null = null;
  #closed = false;

  /** @param module address of the job's custom code; see Engine */
  constructor(job: Job, open: OpenCoordinatorEngine, module?: string) {
    this.#module = module;
    this.#job = job;
    this.#open = open;
  }

  /** Opens the engine before the first recomputation. @throws Error if this machine has no engine */
  async open(): Promise<void> {
    await this.#loadEngine();
  }

  /**
   * @param weights copied before this returns
   * @throws Error if the engine cannot compute the model
   */
  async gradient(step: Step, weights: Float32Array, shard: Shard): Promise<Recomputed> {
    const copy = weights.slice();
    return this.#queue(async () => {
      const { computer } = await this.#loadEngine();
      const gradient = new Float32Array(layoutOf(this.#job.layout).length);
      computer.setWeights(copy);
      return { ...(await computer.gradient(step, shard, gradient)), gradient };
    });
  }

  /** @throws Error if the engine cannot compute the model */
  async evaluate(weights: Float32Array, shard: Shard): Promise<Score> {
    const copy = weights.slice();
    return this.#queue(async () => {
      const { computer } = await this.#loadEngine();
      computer.setWeights(copy);
      return computer.evaluate(shard);
    });
  }

  /**
   * Verifies that the engine computes this model correctly: compares it once with another implementation, before a worker is
   * banned.
   * @returns difference of the implementations if it is too large; null otherwise
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

  /** Smallest difference over a few shards, since a ReLU at zero may cause one in a single shard. */
  async #measureEngineDifference(step: Step, weights: Float32Array, shard: Shard): Promise<number> {
    const { computer } = await this.#loadEngine();
    const other = await this.#open('cpu');
    try {
      const second = await other.engine.load(this.#job, this.#module);
      let smallest = Infinity;
      for (
        let from = 0;
        from < shard.sampleNumbers.length && smallest > MAX_DIFFERENCE && from < 2 * VERIFICATION_SAMPLES;
        from += VERIFICATION_SAMPLES
      ) {
        const part = sliceShard(shard, from, from + VERIFICATION_SAMPLES);
        const a = new Float32Array(weights.length);
        const b = new Float32Array(weights.length);
        computer.setWeights(weights.slice());
        second.setWeights(weights.slice());
        await computer.gradient(step, part, a);
        await second.gradient(step, part, b);
        smallest = Math.min(smallest, relativeDifference(a, b));
      }
      return smallest;
    } finally {
      await other.close();
    }
  }

  #queue<Result>(compute: () => Promise<Result>): Promise<Result> {
    const result = this.#idle.then(compute);
    this.#idle = result.catch(() => undefined);
    return result;
  }

  #loadEngine(): Promise<{ readonly engine: CoordinatorEngine; readonly computer: GradientComputer }> {
    if (this.#closed) return Promise.reject(new Error('The run is over.'));
    this.#loaded ??= this.#open('wasm').then(async (engine) => ({
      engine,
      computer: await engine.engine.load(this.#job, this.#module),
    }));
    return this.#loaded;
  }
}

function relativeDifference(a: Float32Array, b: Float32Array): number {
  let squares = 0;
  let squaredNorm = 0;
  for (let i = 0; i < a.length; i++) {
    squares += ((a[i] as number) - (b[i] as number)) ** 2;
    squaredNorm += (a[i] as number) ** 2;
  }
  return Math.sqrt(squares / Math.max(squaredNorm, Number.MIN_VALUE));
}
