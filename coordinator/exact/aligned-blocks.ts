import type { Range } from '../../shared/util/range.ts';
import type { Assignment } from '../scheduling/partition.ts';

/**
 * How a batch is cut where its sum follows the tree of TreeSum: ranges of samples are whole nodes of it.
 * @param unit samples of a micro-shard
 */
export const microShardCount = ({ from, to }: Range, unit: number): number => Math.ceil((to - from) / unit);

/** The least power of two that is not below `count`. */
const nextPowerOfTwo = (count: number): number => 2 ** Math.ceil(Math.log2(count));

/** The two halves of a node; one, if it cannot be cut. */
export function halveBlock({ from, to }: Range, unit: number): Range[] {
  const leaves = microShardCount({ from, to }, unit);
  if (leaves <= 1) return [{ from, to }];
  const middle = from + (nextPowerOfTwo(leaves) / 2) * unit;
  return [
    { from, to: middle },
    { from: middle, to },
  ];
}

/** Cuts a node into at least `parts` nodes below it, if it has so many leaves; the largest are cut first. */
export function splitBlock(range: Range, unit: number, parts: number): Range[] {
  let nodes = [range];
  while (nodes.length < parts) {
    const most = Math.max(...nodes.map((node) => microShardCount(node, unit)));
    if (most <= 1) break;
    const largest = nodes.findIndex((node) => microShardCount(node, unit) === most);
    nodes = nodes.flatMap((node, i) => (i === largest ? halveBlock(node, unit) : [node]));
  }
  return nodes;
}

/**
 * Gives everybody as many micro-shards as it has in `shares`, in as few nodes as there can be: the sizes are taken apart
 * into powers of two, which are laid out from the largest to the smallest, so that each is aligned.
 * @param shares of a batch, in multiples of `unit` but for the batch's end; nobody twice
 * @returns a worker's largest node before its others
 */
export function alignedBlocks(shares: readonly Assignment[], samples: number, unit: number): Assignment[] {
  const batch = { from: 0, to: samples };
  const blocks = shares.flatMap(({ worker, ...range }) =>
    powersOfTwo(microShardCount(range, unit)).map((leaves) => ({ worker, leaves })),
  );
  const owners = blocks
    .toSorted((a, b) => b.leaves - a.leaves)
    .flatMap(({ worker, leaves }) => Array.from({ length: leaves }, () => worker));
  const nodes: Assignment[] = [];
  const visit = (node: Range): void => {
    const [first, ...others] = owners.slice(node.from / unit, Math.ceil(node.to / unit));
    if (first !== undefined && others.every((owner) => owner === first)) {
      nodes.push({ ...node, worker: first });
    } else for (const half of halveBlock(node, unit)) visit(half);
  };
  visit(batch);
  return nodes.sort((a, b) => b.to - b.from - (a.to - a.from) || a.from - b.from);
}

/** The powers of two that add up to a number, the largest first. */
function powersOfTwo(count: number): number[] {
  const powers: number[] = [];
  for (let power = nextPowerOfTwo(Math.max(1, count)); power >= 1; power /= 2) {
    if (Math.floor(count / power) % 2 === 1) powers.push(power);
  }
  return powers;
}
