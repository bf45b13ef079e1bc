import { prepareJob, type PreparedJob } from '../../coordinator/model.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Topology } from '../../shared/model/job.ts';

/** A job whose batch is one shard of drawn digits, for an engine without a coordinator. */
export async function drawnShard(
  batch: number,
  topology?: Topology,
): Promise<PreparedJob & { readonly shard: Shard }> {
  const dataset = drawDigits({ seed: 1, trainCount: batch, testCount: 10 });
  const prepared = await prepareJob(dataset, { batchSize: batch, epochs: 1, seed: 1, topology });
  const { images, labels } = dataset.train;
  return {
    ...prepared,
    shard: { sampleNumbers: Uint32Array.from({ length: batch }, (_, i) => i), images, labels },
  };
}
