import type { Range } from '../util/range.ts';
import { childrenOf } from './pairwise-sum.ts';

/*
 * Splits of samples for pairwise sums (pairwise-sum.ts): every range of samples is a whole block of the binary tree whose leaves are
 * micro-shards.
 */

/** Number of micro-shards in a range; the last one may be smaller. */
export const microShardCount = ({ from, to }: Range, microShardSize: number): number =>
  Math.ceil((to - from) / microShardSize);

/** The two halves of a block; the block itself if it has one micro-shard. */
export function halveBlock({ from, to }: Range, microShardSize: number): Range[] {
  const children = childrenOf({ from: from / microShardSize, to: Math.ceil(to / microShardSize) });
  if (children === null) return [{ from, to }];
  const middle = children[0].to * microShardSize;
  return [
    { from, to: middle },
    { from: middle, to },
  ];
}

/** Splits a block into at least `parts` blocks, if it has that many micro-shards. Splits the largest blocks first. */
export function splitBlock({ from, to }: Range, microShardSize: number, parts: number): Range[] {
  let blocks: Range[] = [{ from, to }];
  while (blocks.length < parts) {
    const largestCount = Math.max(...blocks.map((block) => microShardCount(block, microShardSize)));
    if (largestCount <= 1) break;
    const largest = blocks.findIndex((block) => microShardCount(block, microShardSize) === largestCount);
    blocks = blocks.flatMap((block, i) => (i === largest ? halveBlock(block, microShardSize) : [block]));
  }
  return blocks;
}
