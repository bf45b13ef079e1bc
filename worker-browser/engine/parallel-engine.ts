import type { Shard } from '../../shared/data/shard.ts';
import type { Engine, ShardResult, GradientComputer } from '../../shared/engine/engine.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { EngineInfo, Step } from '../../shared/protocol/messages.ts';
import type { EngineProcess } from './engine-process.ts';

export interface ParallelOptions {
  /** All alike; at least one. */
  readonly processes: readonly EngineProcess[];
  readonly info: EngineInfo;
  /** Makes memory that the processes see too; null where the browser has none, or the backend cannot read it. */
  readonly sharedFloats: ((length: number) => Float32Array) | null;
}

/** One engine out of several: each computes a part of every shard, and their gradients are added in a fixed order. */
export function parallelEngine(options: ParallelOptions): Engine {
  const { processes, info } = options;
  return {
    info,
    async load(job) {
      await Promise.all(processes.map((process) => process.request({ type: 'load', job })));
      // Parts of micro-shards, or sums of theirs along another tree, would have other bits: one process does all.
      const used = job.microShard === undefined ? processes : processes.slice(0, 1);
      return new ParallelGradientComputer({ ...options, processes: used }, layoutOf(job.layout).length);
    },
  };
}

class ParallelGradientComputer implements GradientComputer {
  readonly #processes: readonly EngineProcess[];
  readonly #weights: Float32Array | null;
  readonly #length: number;
  /** Gradients travel in these; null while one is under way. */
  readonly #buffers: (Float32Array<ArrayBuffer> | null)[] = [];
  #prepared: { readonly step: Step; readonly shard: Shard; readonly parts: number } | null = null;

  constructor({ processes, sharedFloats }: ParallelOptions, length: number) {
    this.#processes = processes;
    this.#length = length;
    this.#weights = sharedFloats?.(length) ?? null;
  }

  setWeights(weights: Float32Array, from = 0): void {
    // Written over while a process still reads older ones: those are followed by these before any shard.
    this.#weights?.set(weights, from);
    const values = this.#weights?.subarray(from, from + weights.length) ?? weights.slice();
    for (const process of this.#processes) process.notify({ type: 'weights', values, from });
  }

  prepare(step: Step, shard: Shard): void {
    const parts = splitShard(shard, this.#processes.length);
    parts.forEach((part, i) => this.#processes[i]?.notify({ type: 'prepare', step, shard: part }));
    this.#prepared = { step, shard, parts: parts.length };
  }

  async gradient(step: Step, shard: Shard, gradient: Float32Array): Promise<ShardResult> {
    const ready = this.#prepared?.step === step && this.#prepared.shard === shard;
    const parts: readonly (Shard | null)[] = ready
      ? Array.from({ length: this.#prepared?.parts ?? 0 }, () => null)
      : splitShard(shard, this.#processes.length);
    this.#prepared = null;
    const answers = await Promise.all(
      parts.map((part, i) => {
        const room = this.#buffers[i] ?? new Float32Array(this.#length);
        this.#buffers[i] = null;
        return this.#process(i).request({ type: 'gradient', step, shard: part, room }, [room.buffer]);
      }),
    );
    answers.forEach(({ room }, i) => {
      if (i === 0) gradient.set(room);
      else for (let j = 0; j < gradient.length; j++) gradient[j] = (gradient[j] ?? 0) + (room[j] ?? 0);
      this.#buffers[i] = room;
    });
    return sumResults(answers);
  }

  async evaluate(shard: Shard): Promise<ShardResult> {
    const parts = splitShard(shard, this.#processes.length);
    return sumResults(
      await Promise.all(parts.map((part, i) => this.#process(i).request({ type: 'evaluate', shard: part }))),
    );
  }

  predict(images: Uint8Array, samples: number): Promise<Float32Array> {
    return this.#process(0).request({ type: 'predict', images: images.slice(), samples });
  }

  dispose(): void {
    for (const process of this.#processes) process.notify({ type: 'dispose' });
  }

  #process(i: number): EngineProcess {
    const process = this.#processes[i];
    if (process === undefined) throw new Error(`There is no engine ${i}.`);
    return process;
  }
}

const sumResults = (results: readonly ShardResult[]): ShardResult => ({
  lossSum: results.reduce((sum, { lossSum }) => sum + lossSum, 0),
  correct: results.reduce((sum, { correct }) => sum + correct, 0),
});

/**
 * A shard in at most `parts` parts of nearly equal size, in order. The parts are copies: a Web Worker is sent the whole
 * memory behind a view.
 */
export function splitShard({ images, labels, sampleNumbers }: Shard, parts: number): Shard[] {
  const samples = labels.length;
  const count = Math.max(1, Math.min(parts, samples));
  const sampleBytes = samples === 0 ? 0 : images.length / samples;
  return Array.from({ length: count }, (_, i) => {
    const from = Math.floor((samples * i) / count);
    const to = Math.floor((samples * (i + 1)) / count);
    return {
      images: images.slice(from * sampleBytes, to * sampleBytes),
      labels: labels.slice(from, to),
      sampleNumbers: sampleNumbers.slice(from, to),
    };
  });
}
