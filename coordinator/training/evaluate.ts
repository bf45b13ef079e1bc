import { splitBlock } from '../exact/aligned-blocks.ts';
import type { RoundStart } from './round.ts';
import { splitEvenly } from '../scheduling/partition.ts';

/** Small enough that workers end an evaluation together, large enough that messages do not matter. */
const SAMPLES_PER_SHARD = 250;

/**
 * How a split is shared out.
 * @param unit samples of a micro-shard; shards are then nodes of the tree that their scores are summed along
 */
export function evaluationShards(
  count: number,
  unit: number | undefined,
): Pick<RoundStart, 'pending' | 'splitRange'> {
  if (unit === undefined)
    return { pending: splitEvenly({ from: 0, to: count }, Math.ceil(count / SAMPLES_PER_SHARD)) };
  const size = unit * 2 ** Math.max(0, Math.floor(Math.log2(SAMPLES_PER_SHARD / unit)));
  const pending = Array.from({ length: Math.ceil(count / size) }, (_, i) => ({
    from: i * size,
    to: Math.min(count, (i + 1) * size),
  }));
  return { pending, splitRange: (range, parts) => splitBlock(range, unit, parts) };
}
