import { readSamples, type Split } from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Statistics } from '../../shared/model/default-models.ts';
import { convertTensor, type TensorSpec, type TensorValues } from '../../shared/model/tensors.ts';

/** Samples that are measured: with more, statistics hardly change. */
const MAX_MEASURED = 10_000;

/** Samples of a split, and a function that measures one of their tensors; null for classes. */
interface MeasuredSamples {
  readonly shard: Shard;
  readonly measure: (spec: TensorSpec, values: TensorValues | undefined) => Statistics | null;
}

/** Reads samples spread over a split, up to 10,000, to measure them. */
export async function sampleStatistics(split: Split): Promise<MeasuredSamples> {
  const count = Math.min(split.count, MAX_MEASURED);
  const numbers = Uint32Array.from({ length: count }, (_, i) => Math.floor((i * split.count) / count));
  return {
    shard: await readSamples(split, numbers),
    measure: (spec, values) =>
      spec.classes === undefined && values !== undefined ? measureStatistics(spec, values, count) : null,
  };
}

/** Mean and standard deviation over all values of a target; null for classes. */
export interface TargetStatistics {
  readonly mean: number;
  readonly std: number;
}

/**
 * Mean and deviation of each target in the training part, over all of its values; null for classes. Samples are read only if a
 * target is a number.
 */
export async function measureTargets(
  targets: readonly TensorSpec[],
  train: Split,
): Promise<(TargetStatistics | null)[]> {
  if (targets.every(({ classes }) => classes !== undefined) || train.count === 0)
    return targets.map(() => null);
  const { shard, measure } = await sampleStatistics(train);
  return targets.map((spec, i) => {
    const each = measure(spec, shard.targets[i]);
    if (each === null) return null;
    const { length } = each.mean;
    const mean = each.mean.reduce((sum, value) => sum + value / length, 0);
    // The variance of a mixture: that of its parts, and that of their means.
    const variance = each.mean.reduce(
      (sum, own, j) => sum + ((each.std[j] ?? 0) ** 2 + (own - mean) ** 2) / length,
      0,
    );
    return { mean, std: Math.sqrt(variance) };
  });
}

/** Mean and standard deviation of each value of a sample; the deviation of a constant is 1. */
function measureStatistics(spec: TensorSpec, stored: TensorValues, count: number): Statistics {
  const values = new Float32Array(stored.length);
  convertTensor(spec, stored, values);
  const size = stored.length / count;
  const mean = new Array<number>(size).fill(0);
  const squares = new Array<number>(size).fill(0);
  for (const [i, value] of values.entries()) mean[i % size] = (mean[i % size] as number) + value / count;
  for (const [i, value] of values.entries()) {
    squares[i % size] = (squares[i % size] as number) + (value - (mean[i % size] as number)) ** 2 / count;
  }
  return { mean, std: squares.map((square) => (square > 1e-12 ? Math.sqrt(square) : 1)) };
}
