import { sliceShard, type Shard } from '../../shared/data/shard.ts';
import type { TensorValues } from '../../shared/model/tensors.ts';
import type { Engine, ShardResult, GradientComputer } from '../../shared/engine/engine.ts';
import type { RemoteEngine } from '../../shared/engine/remote-engine/client.ts';
import type { RemoteGradientComputer } from '../../shared/engine/remote-engine/remote-gradient-computer.ts';
import { SharedWeightsPool, type AllocateShared } from '../../shared/engine/remote-engine/weights-channel.ts';
import { addScores } from '../../shared/model/scoring.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EngineInfo, Step } from '../../shared/protocol/messages.ts';

export interface ParallelOptions {
  /** Engines of one kind; at least one. */
  readonly engines: readonly RemoteEngine[];
  readonly info: EngineInfo;
  /** Null if the browser has no shared memory, or the backend cannot read it. */
  readonly allocateShared: AllocateShared | null;
}

/** Combines engines into one: each computes a part of every shard, and the gradients are added in a fixed order. */
export function parallelEngine({ engines, info, allocateShared }: ParallelOptions): Engine {
  return {
    info,
    async load(job) {
      // Parts of micro-shards, or their sums along another tree, would have other bits: one engine computes all.
      const used = job.microShard === undefined ? engines : engines.slice(0, 1);
      return new ParallelGradientComputer(await loadAll(used, job), allocateShared);
    },
  };
}

/** Loads a job on all engines, or on none. */
async function loadAll(engines: readonly RemoteEngine[], job: Job): Promise<RemoteGradientComputer[]> {
  const loading = engines.map((engine) => engine.load(job));
  try {
    return await Promise.all(loading);
  } catch (error) {
    for (const computer of loading) {
      computer.then(
        (loaded) => loaded.dispose(),
        () => undefined,
      );
    }
    throw error;
  }
}

class ParallelGradientComputer implements GradientComputer {
  readonly #computers: readonly RemoteGradientComputer[];
  /** Weights that all engines read: copied once, not once an engine. */
  readonly #weights: SharedWeightsPool | null;
  #split: { readonly shard: Shard; readonly parts: readonly Shard[] } | null = null;

  constructor(computers: readonly RemoteGradientComputer[], allocateShared: AllocateShared | null) {
    this.#computers = computers;
    this.#weights = allocateShared === null ? null : new SharedWeightsPool(allocateShared);
  }

  setWeights(weights: Float32Array): void {
    // An engine without a part in a small shard may read a copy that is being reused; newer weights follow it.
    const shared = this.#weights?.copy(weights);
    for (const computer of this.#computers) {
      if (shared === undefined) computer.setWeights(weights);
      else computer.setSharedWeights(shared);
    }
  }

  prepare(step: Step, shard: Shard): void {
    for (const [computer, part] of this.#assign(shard)) computer.prepare(step, part);
  }

  async gradient(step: Step, shard: Shard, gradient: Float32Array): Promise<ShardResult> {
    const answers = await Promise.all(
      this.#assign(shard).map(([computer, part]) => computer.gradientInPlace(step, part)),
    );
    this.#weights?.releaseOlder();
    answers.forEach(({ gradient: values }, i) => {
      if (i === 0) gradient.set(values);
      else for (let j = 0; j < gradient.length; j++) gradient[j] = (gradient[j] ?? 0) + (values[j] ?? 0);
    });
    return sumResults(answers.map(({ result }) => result));
  }

  async evaluate(shard: Shard): Promise<ShardResult> {
    const results = await Promise.all(this.#assign(shard).map(([computer, part]) => computer.evaluate(part)));
    this.#weights?.releaseOlder();
    return sumResults(results);
  }

  async predict(inputs: readonly TensorValues[], samples: number, output = 0): Promise<Float32Array> {
    const [computer] = this.#computers;
    if (computer === undefined) throw new Error('There is no engine.');
    const probabilities = await computer.predict(inputs, samples, output);
    this.#weights?.releaseOlder();
    return probabilities;
  }

  dispose(): void {
    for (const computer of this.#computers) computer.dispose();
  }

  /** @returns engines with their parts of a shard; the same objects for the same shard, which engines recognize */
  #assign(shard: Shard): (readonly [RemoteGradientComputer, Shard])[] {
    if (this.#split?.shard !== shard) {
      this.#split = { shard, parts: splitShard(shard, this.#computers.length) };
    }
    const { parts } = this.#split;
    return this.#computers.flatMap((computer, i) => {
      const part = parts[i];
      return part === undefined ? [] : [[computer, part] as const];
    });
  }
}

const sumResults = ([first, ...others]: readonly ShardResult[]): ShardResult =>
  others.reduce<ShardResult>(addScores, first ?? { lossSum: 0, metrics: [] });

/** @returns views of a shard in at most `parts` parts of nearly equal size, in order */
export function splitShard(shard: Shard, parts: number): Shard[] {
  const samples = shard.sampleNumbers.length;
  const count = Math.max(1, Math.min(parts, samples));
  return Array.from({ length: count }, (_, i) => {
    const from = Math.floor((samples * i) / count);
    return sliceShard(shard, from, Math.floor((samples * (i + 1)) / count));
  });
}
