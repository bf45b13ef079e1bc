import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignedBlocks } from '../../../coordinator/modes/aligned-blocks.ts';
import { microShardCount, splitBlock } from '../../../shared/model/micro-shard-blocks.ts';
import type { Range } from '../../../shared/util/range.ts';
import { evenSplit, type Assignment } from '../../../coordinator/scheduling/partition.ts';
import { exactMode, PairwiseReducer } from '../../../coordinator/modes/exact-mode.ts';
import { EngineFingerprints } from '../../../coordinator/modes/fingerprints.ts';
import type { ShardScore } from '../../../coordinator/modes/run-mode.ts';
import { PairwiseSum } from '../../../shared/model/pairwise-sum.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { checkProperty } from '../../support/property.ts';

const MICRO_SHARD = 4;
const idOf = (i: number): WorkerId => `w${i}` as WorkerId;

/** Sum over the leaves [from, from + width) as PROTOCOL.md defines it; `width` is a power of two. */
function sumByProtocol(leaves: readonly number[], from: number, width: number): number {
  if (width === 1) return leaves[from]!;
  const left = sumByProtocol(leaves, from, width / 2);
  const right = from + width / 2;
  return right >= leaves.length ? left : Math.fround(left + sumByProtocol(leaves, right, width / 2));
}
const rootWidth = (leaves: number): number => 2 ** Math.ceil(Math.log2(leaves));

/** Values whose float32 sum depends on the order. */
const leafValues = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.fround(1 / (3 + ((i * 7919) % 101))));

function sumOf(leaves: readonly number[]): number {
  const sum = new PairwiseSum<number>((a, b) => Math.fround(a + b));
  for (const leaf of leaves) sum.push(leaf);
  return sum.total();
}

/** A batch, split into random blocks. */
const splitBatch = fc
  .record({ samples: fc.integer({ min: 1, max: 200 }), splits: fc.array(fc.nat(), { maxLength: 30 }) })
  .map(({ samples, splits }) => {
    let blocks: Range[] = [{ from: 0, to: samples }];
    for (const split of splits) {
      blocks = blocks.flatMap((block, i) =>
        i === split % blocks.length ? splitBlock(block, MICRO_SHARD, 2) : [block],
      );
    }
    return { samples, blocks };
  });

describe('pairwise sums', () => {
  it('follow the tree for any number of micro-shards', () => {
    for (let count = 1; count <= 70; count++) {
      const leaves = leafValues(count);
      expect(sumOf(leaves), `${count}`).toBe(sumByProtocol(leaves, 0, rootWidth(count)));
    }
  });

  it('follow the tree for any blocks in any order, for gradients and for scores', () => {
    checkProperty(
      fc.property(splitBatch, fc.infiniteStream(fc.nat()), ({ samples, blocks }, draws) => {
        const leaves = leafValues(microShardCount({ from: 0, to: samples }, MICRO_SHARD));
        const sumOfBlock = ({ from, to }: Range): number =>
          sumOf(leaves.slice(from / MICRO_SHARD, Math.ceil(to / MICRO_SHARD)));
        const expected = sumByProtocol(leaves, 0, rootWidth(leaves.length));
        const total = new Float32Array(3);
        const summed: Range[] = [];
        const reducer = new PairwiseReducer(total, samples, MICRO_SHARD, []);
        const remaining = [...blocks];
        while (remaining.length > 0) {
          expect(summed).toEqual([]);
          const [block] = remaining.splice(draws.next().value % remaining.length, 1);
          summed.push(...reducer.add(block!, new Float32Array(3).fill(sumOfBlock(block!))));
        }
        expect([...total]).toEqual([expected, expected, expected]);
        expect(summed).toEqual([{ from: 0, to: 3 }]);

        const doubles = leaves.map((leaf) => leaf / 3);
        const whole = new PairwiseSum<number>((a, b) => a + b);
        for (const leaf of doubles) whole.push(leaf);
        const parts = blocks.map(({ from, to }): ShardScore => {
          const sum = new PairwiseSum<number>((a, b) => a + b);
          for (const leaf of doubles.slice(from / MICRO_SHARD, Math.ceil(to / MICRO_SHARD))) sum.push(leaf);
          return { from, to, lossSum: sum.total(), metrics: [1] };
        });
        expect(exactMode(MICRO_SHARD, new EngineFingerprints()).sumScores(parts.toReversed())).toEqual({
          lossSum: whole.total(),
          metrics: [blocks.length],
        });
      }),
      { seed: 1 },
    );
  });

  it('do not change the gradients that are added', () => {
    const gradients = [Float32Array.of(1), Float32Array.of(2), Float32Array.of(4)];
    const buffers: Float32Array[] = [];
    for (let step = 0; step < 2; step++) {
      const total = new Float32Array(1);
      const reducer = new PairwiseReducer(total, 3 * MICRO_SHARD, MICRO_SHARD, buffers);
      for (const i of [2, 0, 1])
        reducer.add({ from: i * MICRO_SHARD, to: (i + 1) * MICRO_SHARD }, gradients[i]!);
      expect(total[0]).toBe(7);
    }
    expect(gradients.map(([value]) => value)).toEqual([1, 2, 4]);
    expect(buffers).toHaveLength(1);
  });
});

describe('alignedBlocks', () => {
  const sharesOfBatch = fc
    .array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 9 })
    .chain((sizes) => fc.tuple(fc.constant(sizes), fc.integer({ min: 1, max: MICRO_SHARD })))
    .map(([sizes, last]) => {
      let to = 0;
      const batch = sizes.map((size, i): Assignment => {
        const from = to;
        to += size * MICRO_SHARD - (i === sizes.length - 1 ? MICRO_SHARD - last : 0);
        return { from, to, worker: idOf(i) };
      });
      return { shares: batch, samples: to };
    });

  it('covers the batch once and assigns each worker as many micro-shards as its share has', () => {
    checkProperty(
      fc.property(sharesOfBatch, ({ shares, samples }) => {
        const blocks = alignedBlocks(shares, samples, MICRO_SHARD);
        const inOrder = blocks.toSorted((a, b) => a.from - b.from);
        expect(inOrder[0]?.from).toBe(0);
        expect(inOrder.at(-1)?.to).toBe(samples);
        inOrder.slice(1).forEach(({ from }, i) => expect(from).toBe(inOrder[i]?.to));
        for (const { from, to } of blocks) {
          const width = rootWidth(microShardCount({ from, to }, MICRO_SHARD));
          expect((from / MICRO_SHARD) % width).toBe(0);
          expect(to === samples || to - from === width * MICRO_SHARD).toBe(true);
        }
        for (const { worker, ...range } of shares) {
          const ownBlocks = blocks.filter((block) => block.worker === worker);
          const leaves = ownBlocks.reduce((sum, block) => sum + microShardCount(block, MICRO_SHARD), 0);
          expect(leaves).toBe(microShardCount(range, MICRO_SHARD));
          expect(ownBlocks.length).toBeLessThanOrEqual(4);
          expect(ownBlocks.map(({ from, to }) => to - from)).toEqual(
            ownBlocks.map(({ from, to }) => to - from).toSorted((a, b) => b - a),
          );
        }
      }),
      { seed: 2 },
    );
  });

  it('returns as few blocks as possible', () => {
    const workers = [idOf(0), idOf(1), idOf(2)];
    const blocks = (count: number, samples: number): string[] =>
      alignedBlocks(evenSplit(samples, workers.slice(0, count), 16), samples, 16).map(
        ({ worker, from, to }) => `${worker} ${from}-${to}`,
      );
    expect(blocks(1, 128)).toEqual(['w0 0-128']);
    expect(blocks(1, 96)).toEqual(['w0 0-96']);
    expect(blocks(2, 128)).toEqual(['w0 0-64', 'w1 64-128']);
    expect(blocks(3, 128)).toEqual(['w0 0-32', 'w1 32-64', 'w2 64-96', 'w1 96-112', 'w2 112-128']);
    expect(blocks(2, 100)).toEqual(['w1 0-64', 'w0 64-100']);
  });

  it('returns no blocks if no worker is connected', () => {
    expect(alignedBlocks([], 24, MICRO_SHARD)).toEqual([]);
  });

  it('splits no micro-shard', () => {
    expect(splitBlock({ from: 0, to: 10 }, MICRO_SHARD, 9)).toEqual([
      { from: 0, to: 4 },
      { from: 4, to: 8 },
      { from: 8, to: 10 },
    ]);
  });
});
