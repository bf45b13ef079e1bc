import { codecKernels } from '../codec/kernels/simd.ts';
import type { Shard } from '../data/shard.ts';
import type { Job } from '../model/job.ts';
import { layoutOf, sizeOf } from '../model/layout.ts';
import { addScores } from '../model/loss.ts';
import { PairwiseSum } from '../model/pairwise-sum.ts';
import type { Step } from '../protocol/messages.ts';
import type { ShardResult, GradientComputer } from './engine.ts';

/**
 * Where the job says so, a trainer that computes every shard in micro-shards, each by itself, and adds what comes out
 * along the tree of TreeSum: the bits of a sum then do not depend on how a batch is shared out.
 * @param trainer computes the micro-shards
 */
export function withMicroShards(trainer: GradientComputer, job: Job): GradientComputer {
  const { microShard } = job;
  if (microShard === undefined) return trainer;
  const { length } = layoutOf(job.layout);
  const room: Float32Array[] = [];
  const parts = new WeakMap<Shard, readonly Shard[]>();

  /** The same objects for the same shard, by which the trainer knows what it has prepared. */
  const partsOf = (shard: Shard): readonly Shard[] => {
    const made = parts.get(shard) ?? splitShard(shard, microShard, sizeOf(job.data.sampleShape));
    parts.set(shard, made);
    return made;
  };

  /** Each micro-shard's gradient is read back, and added here. */
  const addHere = async (step: Step, cut: readonly Shard[], gradient: Float32Array): Promise<ShardResult> => {
    const scores = new PairwiseSum(addScores);
    const sum = new PairwiseSum((left: Float32Array, right: Float32Array) => {
      codecKernels.addFlushToZero(left, right, left);
      room.push(right);
      return left;
    });
    // The first one's place is that of the sum: it is always the left half.
    let target = gradient;
    for (const part of cut) {
      scores.push(await trainer.gradient(step, part, target));
      sum.push(target);
      target = room.pop() ?? new Float32Array(length);
    }
    room.push(target);
    sum.total();
    return scores.total();
  };

  return {
    allocateBuffer: (bytes) => trainer.allocateBuffer?.(bytes) ?? new ArrayBuffer(bytes),
    setWeights: (weights, from) => trainer.setWeights(weights, from),
    prepare(step, shard) {
      if (trainer.gradientInMicroShards) trainer.prepare(step, shard);
      else for (const part of partsOf(shard)) trainer.prepare(step, part);
    },

    async gradient(step, shard, gradient) {
      return (
        trainer.gradientInMicroShards?.(step, shard, gradient) ??
        (await addHere(step, partsOf(shard), gradient))
      );
    },

    async evaluate(shard) {
      const scores = new PairwiseSum(addScores);
      for (const part of partsOf(shard)) scores.push(await trainer.evaluate(part));
      return scores.total();
    },

    predict: (images, samples) => trainer.predict(images, samples),
    dispose: () => trainer.dispose(),
  };
}

/** Samples of each micro-shard; the last one may be short. */
export function microShardSizes(samples: number, microShard: number): number[] {
  return Array.from({ length: Math.ceil(samples / microShard) }, (_, i) =>
    Math.min(microShard, samples - i * microShard),
  );
}

function splitShard({ sampleNumbers, images, labels }: Shard, unit: number, sampleBytes: number): Shard[] {
  return microShardSizes(labels.length, unit).map((size, i) => {
    const [from, to] = [i * unit, i * unit + size];
    return {
      sampleNumbers: sampleNumbers.subarray(from, to),
      images: images.subarray(from * sampleBytes, to * sampleBytes),
      labels: labels.subarray(from, to),
    };
  });
}
