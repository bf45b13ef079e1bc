import { halveBlock, microShardCount } from '../../shared/model/micro-shard-blocks.ts';
import type { Range } from '../../shared/util/range.ts';
import type { Assignment } from '../scheduling/partition.ts';

/** Smallest power of two that is not below `count`. */
const nextPowerOfTwo = (count: number): number => 2 ** Math.ceil(Math.log2(count));

/**
 * Assigns each worker as many micro-shards as its share has, in as few blocks as possible. Each share is split into powers of
 * two; these are placed from the largest to the smallest, so that each is aligned.
 * @param shares shares of a batch, multiples of `microShardSize` except for the batch's end; each worker once
 * @returns blocks, the largest first; none without shares
 */
export function alignedBlocks(
  shares: readonly Assignment[],
  samples: number,
  microShardSize: number,
): Assignment[] {
  // No worker is connected: no block has an owner.
  if (shares.length === 0) return [];
  const sizes = shares.flatMap(({ worker, ...range }) =>
    powersOfTwo(microShardCount(range, microShardSize)).map((count) => ({ worker, count })),
  );
  const owners = sizes
    .toSorted((a, b) => b.count - a.count)
    .flatMap(({ worker, count }) => Array.from({ length: count }, () => worker));
  const blocks: Assignment[] = [];
  const visit = ({ from, to }: Range): void => {
    const [first, ...others] = owners.slice(from / microShardSize, Math.ceil(to / microShardSize));
    if (first !== undefined && others.every((owner) => owner === first)) {
      blocks.push({ from, to, worker: first });
    } else for (const half of halveBlock({ from, to }, microShardSize)) visit(half);
  };
  visit({ from: 0, to: samples });
  return blocks.sort((a, b) => b.to - b.from - (a.to - a.from) || a.from - b.from);
}

/** Powers of two whose sum is `count`, the largest first. */
function powersOfTwo(count: number): number[] {
  const powers: number[] = [];
  for (let power = nextPowerOfTwo(Math.max(1, count)); power >= 1; power /= 2) {
    if (Math.floor(count / power) % 2 === 1) powers.push(power);
  }
  return powers;
}
