import { prepareJob, type PreparedJob } from '../../coordinator/model/model.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Topology } from '../../shared/model/job.ts';

/** Prepares a job whose batch is one shard of synthetic digits, for an engine without a coordinator. */
export async function syntheticShard(
  batchSize: number,
  topology?: Topology,
): Promise<PreparedJob & { readonly shard: Shard }> {
  const dataset = syntheticDigits({ seed: 1, trainCount: batchSize, testCount: 10 });
  const prepared = await prepareJob(dataset, { batchSize, epochs: 1, seed: 1, topology });
  return {
    ...prepared,
    shard: { ...dataset.train, sampleNumbers: Uint32Array.from({ length: batchSize }, (_, i) => i) },
  };
}
