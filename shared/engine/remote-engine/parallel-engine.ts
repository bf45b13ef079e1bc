import { factoredKernel, type DenseKernel } from '../../codec/factors.ts';
import { codecKernels } from '../../codec/kernels/simd.ts';
import { sliceShard, type Shard } from '../../data/shard.ts';
import type { Job } from '../../model/job.ts';
import { layoutOf } from '../../model/layout.ts';
import { microShardCount, splitBlock } from '../../model/micro-shard-blocks.ts';
import { PairwiseSum } from '../../model/pairwise-sum.ts';
import { addScores } from '../../model/scoring.ts';
import type { TensorValues } from '../../model/tensors.ts';
import type { EngineInfo, Step } from '../../protocol/messages.ts';
import type { Engine, GradientBucket, GradientComputer, ShardResult } from '../engine.ts';
import type { RemoteEngine } from './client.ts';
import type { RemoteGradientComputer } from './remote-gradient-computer.ts';
import { SharedWeightsPool, type AllocateShared } from './weights-channel.ts';

export interface ParallelOptions {
  /** Engines of one kind; at least one. */
  readonly engines: readonly RemoteEngine[];
  readonly info: EngineInfo;
  /** Null if there is no shared memory, or the engines cannot read it. */
  readonly allocateShared: AllocateShared | null;
}

/**
 * Combines engines into one: each computes a part of every shard, and the gradients are added in the order of the samples. In an
 * exact run parts are whole blocks of the tree of PairwiseSum, so the bits are those of one engine.
 */
export function parallelEngine({ engines, info, allocateShared }: ParallelOptions): Engine {
  return {
    info,
    load: async (job, module) =>
      new ParallelGradientComputer(await loadAll(engines, job, module), job, allocateShared),
  };
}

/** Loads a job on all engines, or on none. */
async function loadAll(
  engines: readonly RemoteEngine[],
  job: Job,
  module: string | undefined,
): Promise<RemoteGradientComputer[]> {
  const loading = engines.map((engine) => engine.load(job, module));
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
  readonly allocateBuffer?: AllocateShared;
  readonly supportsFactors: boolean;
  readonly #computers: readonly RemoteGradientComputer[];
  readonly #microShard: number | undefined;
  readonly #kernel: DenseKernel | null;
  /** Weights that all engines read: copied once, not once an engine. */
  readonly #weights: SharedWeightsPool | null;
  /** Gradients of all parts but the first, which is computed in the caller's memory. */
  readonly #buffers: readonly Float32Array[];
  #split: { readonly shard: Shard; readonly parts: readonly Shard[] } | null = null;

  constructor(computers: readonly RemoteGradientComputer[], job: Job, allocateShared: AllocateShared | null) {
    const layout = layoutOf(job.layout);
    if (allocateShared !== null) this.allocateBuffer = allocateShared;
    this.#computers = computers;
    this.#microShard = job.microShard;
    this.#kernel = factoredKernel(layout);
    this.supportsFactors = computers.every(({ supportsFactors }) => supportsFactors === true);
    this.#weights = allocateShared === null ? null : new SharedWeightsPool(allocateShared);
    const bytes = layout.length * Float32Array.BYTES_PER_ELEMENT;
    this.#buffers = computers
      .slice(1)
      .map(() => new Float32Array(allocateShared?.(bytes) ?? new ArrayBuffer(bytes)));
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

  async gradient(
    step: Step,
    shard: Shard,
    gradient: Float32Array,
    bucket?: GradientBucket,
    isFactored = false,
  ): Promise<ShardResult> {
    const assigned = this.#assign(shard);
    const parts = assigned.map(([, part]) => part);
    const buffers = [gradient, ...this.#buffers].slice(0, parts.length);
    const kernel = isFactored ? this.#kernel : null;
    let missing = parts.length;
    /** End of the values that have not been combined. */
    let end = gradient.length;
    const onReady = (): void => {
      if (bucket === undefined || --missing > 0) return;
      this.#combine(buffers, parts, bucket.offset, end, kernel);
      end = bucket.offset;
      bucket.onReady();
    };
    const ownBucket = bucket === undefined ? undefined : { offset: bucket.offset, onReady };
    // No part may write, or report its bucket, after this call has failed.
    const settled = await Promise.allSettled(
      assigned.map(([computer, part], i) =>
        computer.gradient(step, part, buffers[i] ?? gradient, ownBucket, isFactored),
      ),
    );
    const results = settled.map((answer) => {
      if (answer.status === 'rejected') throw answer.reason;
      return answer.value;
    });
    this.#weights?.releaseOlder();
    this.#combine(buffers, parts, 0, end, kernel);
    return { ...this.#fold(results, parts, addScores), isFactored };
  }

  async evaluate(shard: Shard): Promise<ShardResult> {
    const assigned = this.#assign(shard);
    const results = await Promise.all(assigned.map(([computer, part]) => computer.evaluate(part)));
    this.#weights?.releaseOlder();
    return this.#fold(
      results,
      assigned.map(([, part]) => part),
      addScores,
    );
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
      this.#split = { shard, parts: splitShard(shard, this.#computers.length, this.#microShard) };
    }
    const { parts } = this.#split;
    return this.#computers.flatMap((computer, i) => {
      const part = parts[i];
      return part === undefined ? [] : [[computer, part] as const];
    });
  }

  /**
   * Combines a range of the parts' gradients in the first one.
   * @param kernel whose range has factors, which are joined instead of added; null if there is none
   */
  #combine(
    gradients: readonly Float32Array[],
    parts: readonly Shard[],
    from: number,
    to: number,
    kernel: DenseKernel | null,
  ): void {
    if (kernel !== null && from <= kernel.offset && kernel.offset < to) {
      this.#combine(gradients, parts, from, kernel.offset, null);
      this.#combine(gradients, parts, kernel.offset + kernel.inputs * kernel.outputs, to, null);
      joinFactors(gradients, parts, kernel);
    } else if (from < to && parts.length > 1) {
      const ranges = gradients.map((gradient) => gradient.subarray(from, to));
      this.#fold(ranges, parts, (left, right) => {
        if (this.#microShard === undefined) codecKernels.add(left, right, left);
        else codecKernels.addFlushToZero(left, right, left);
        return left;
      });
    }
  }

  /** Sum of one value for each part: in the order of the parts, or along the tree of an exact run. */
  #fold<T>(values: readonly T[], parts: readonly Shard[], add: (left: T, right: T) => T): T {
    const size = this.#microShard;
    if (size === undefined) return values.reduce(add);
    const sum = new PairwiseSum(add);
    values.forEach((value, i) => {
      const samples = parts[i]?.sampleNumbers.length ?? 0;
      sum.push(value, microShardCount({ from: 0, to: samples }, size));
    });
    return sum.total();
  }
}

/** Makes factors of a whole shard from those of its parts: the inputs of all samples, then the output gradients of all. */
function joinFactors(
  gradients: readonly Float32Array[],
  parts: readonly Shard[],
  { offset, inputs, outputs }: DenseKernel,
): void {
  const [joined] = gradients;
  if (joined === undefined) return;
  const counts = parts.map(({ sampleNumbers }) => sampleNumbers.length);
  const endOfInputs = offset + inputs * counts.reduce((sum, count) => sum + count, 0);
  let sample = 0;
  gradients.forEach((gradient, i) => {
    const count = counts[i] ?? 0;
    const middle = offset + inputs * count;
    // The first part's output gradients lie where inputs of the next ones go.
    const outputGradients = gradient.slice(middle, middle + outputs * count);
    joined.set(gradient.subarray(offset, middle), offset + inputs * sample);
    joined.set(outputGradients, endOfInputs + outputs * sample);
    sample += count;
  });
}

/**
 * Views of a shard in at most `parts` parts of nearly equal size, in order.
 * @param microShard samples of a micro-shard in an exact run; parts are then whole blocks of its tree
 */
export function splitShard(shard: Shard, parts: number, microShard?: number): Shard[] {
  const samples = shard.sampleNumbers.length;
  if (microShard !== undefined) {
    const blocks = splitBlock({ from: 0, to: samples }, microShard, parts);
    return blocks.map(({ from, to }) => sliceShard(shard, from, to));
  }
  const count = Math.max(1, Math.min(parts, samples));
  return Array.from({ length: count }, (_, i) => {
    const from = Math.floor((samples * i) / count);
    return sliceShard(shard, from, Math.floor((samples * (i + 1)) / count));
  });
}
