import { cutNode } from './exact/subtrees.ts';
import type { RoundStart } from './round.ts';
import { cut } from './schedule.ts';

/** Small enough that workers end an evaluation together, large enough that messages do not matter. */
const SAMPLES = 250;

/**
 * How a split is shared out.
 * @param unit samples of a micro-shard; shards are then nodes of the tree that their scores are summed along
 */
export function evaluationShards(
  count: number,
  unit: number | undefined,
): Pick<RoundStart, 'waiting' | 'cut'> {
  if (unit === undefined) return { waiting: cut({ from: 0, to: count }, Math.ceil(count / SAMPLES)) };
  const size = unit * 2 ** Math.max(0, Math.floor(Math.log2(SAMPLES / unit)));
  const waiting = Array.from({ length: Math.ceil(count / size) }, (_, i) => ({
    from: i * size,
    to: Math.min(count, (i + 1) * size),
  }));
  return { waiting, cut: (range, parts) => cutNode(range, unit, parts) };
}
