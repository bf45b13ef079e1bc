import { codecKernels } from '../codec/kernels/simd.ts';
import { sliceShard, type Shard } from '../data/shard.ts';
import type { Job } from '../model/job.ts';
import { layoutOf } from '../model/layout.ts';
import { addScores } from '../model/scoring.ts';
import { PairwiseSum } from '../model/pairwise-sum.ts';
import type { Step } from '../protocol/messages.ts';
import type { ShardResult, GradientComputer } from './engine.ts';

/**
 * Wraps a gradient computer so that it computes the micro-shards of every shard separately and adds the results along the
 * tree of PairwiseSum, if the job sets a micro-shard size. The bits of a sum then do not depend on how a batch is partitioned.
 * @param computer computes the micro-shards
 */
export function withMicroShards(computer: GradientComputer, job: Job): GradientComputer {
  const { microShard } = job;
  if (microShard === undefined) return computer;
  const { length } = layoutOf(job.layout);
  const freeBuffers: Float32Array[] = [];
  const parts = new WeakMap<Shard, readonly Shard[]>();

  /** Micro-shards of a shard; always the same objects, by which the computer finds its prepared inputs. */
  const partsOf = (shard: Shard): readonly Shard[] => {
    const split = parts.get(shard) ?? splitShard(shard, microShard);
    parts.set(shard, split);
    return split;
  };

  /** Adds the micro-shards' gradients in this process. */
  const sumGradients = async (
    step: Step,
    microShards: readonly Shard[],
    gradient: Float32Array,
  ): Promise<ShardResult> => {
    const scores = new PairwiseSum(addScores);
    const sum = new PairwiseSum((left: Float32Array, right: Float32Array) => {
      codecKernels.addFlushToZero(left, right, left);
      freeBuffers.push(right);
      return left;
    });
    // The first micro-shard is always the left operand, whose buffer receives the sum.
    let target = gradient;
    for (const part of microShards) {
      scores.push(await computer.gradient(step, part, target));
      sum.push(target);
      target = freeBuffers.pop() ?? new Float32Array(length);
    }
    freeBuffers.push(target);
    sum.total();
    return scores.total();
  };

  return {
    allocateBuffer: (bytes) => computer.allocateBuffer?.(bytes) ?? new ArrayBuffer(bytes),
    setWeights: (weights) => computer.setWeights(weights),
    prepare(step, shard) {
      if (computer.gradientInMicroShards) computer.prepare(step, shard);
      else for (const part of partsOf(shard)) computer.prepare(step, part);
    },

    async gradient(step, shard, gradient) {
      return (
        computer.gradientInMicroShards?.(step, shard, gradient) ??
        (await sumGradients(step, partsOf(shard), gradient))
      );
    },

    async evaluate(shard) {
      const scores = new PairwiseSum(addScores);
      for (const part of partsOf(shard)) scores.push(await computer.evaluate(part));
      return scores.total();
    },

    predict: (...prediction) => computer.predict(...prediction),
    dispose: () => computer.dispose(),
  };
}

/** Number of samples in each micro-shard; the last may have fewer. */
export function microShardSizes(samples: number, microShard: number): number[] {
  return Array.from({ length: Math.ceil(samples / microShard) }, (_, i) =>
    Math.min(microShard, samples - i * microShard),
  );
}

const splitShard = (shard: Shard, microShard: number): Shard[] =>
  microShardSizes(shard.sampleNumbers.length, microShard).map((size, i) =>
    sliceShard(shard, i * microShard, i * microShard + size),
  );
