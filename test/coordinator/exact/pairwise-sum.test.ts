import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PairwiseReducer } from '../../../coordinator/modes/pairwise-reducer.ts';
import { ShareTimes } from '../../../coordinator/scheduling/share-times.ts';
import { splitBlock, alignedBlocks, microShardCount } from '../../../coordinator/modes/aligned-blocks.ts';
import type { Range } from '../../../shared/util/range.ts';
import { evenSplit, type Assignment } from '../../../coordinator/scheduling/partition.ts';
import { exactMode } from '../../../coordinator/modes/exact-mode.ts';
import { EngineFingerprints } from '../../../coordinator/modes/fingerprints.ts';
import type { ShardScore } from '../../../coordinator/modes/run-mode.ts';
import { PairwiseSum } from '../../../shared/model/pairwise-sum.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { checkProperty } from '../../support/property.ts';

const UNIT = 4;
const idOf = (i: number): WorkerId => `w${i}` as WorkerId;

/** The tree as PROTOCOL.md has it: the sum over leaves [from, from + width), a power of two, of `count`. */
function byTheBook(leaves: readonly number[], from: number, width: number): number {
  if (width === 1) return leaves[from]!;
  const left = byTheBook(leaves, from, width / 2);
  const right = from + width / 2;
  return right >= leaves.length ? left : Math.fround(left + byTheBook(leaves, right, width / 2));
}
const rootWidth = (leaves: number): number => 2 ** Math.ceil(Math.log2(leaves));

/** Values of which no two orders give the same float32 sum. */
const leafValues = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.fround(1 / (3 + ((i * 7919) % 101))));

function sumOf(leaves: readonly number[]): number {
  const sum = new PairwiseSum<number>((a, b) => Math.fround(a + b));
  for (const leaf of leaves) sum.push(leaf);
  return sum.total();
}

/** A batch, cut into random nodes. */
const cutBatch = fc
  .record({ samples: fc.integer({ min: 1, max: 200 }), cuts: fc.array(fc.nat(), { maxLength: 30 }) })
  .map(({ samples, cuts }) => {
    let nodes: Range[] = [{ from: 0, to: samples }];
    for (const cut of cuts) {
      nodes = nodes.flatMap((node, i) => (i === cut % nodes.length ? splitBlock(node, UNIT, 2) : [node]));
    }
    return { samples, nodes };
  });

describe('the tree of a sum', () => {
  it('is followed however many micro-shards there are', () => {
    for (let count = 1; count <= 70; count++) {
      const leaves = leafValues(count);
      expect(sumOf(leaves), `${count}`).toBe(byTheBook(leaves, 0, rootWidth(count)));
    }
  });

  it('is followed by gradients of any nodes in any order, and by their scores', () => {
    checkProperty(
      fc.property(cutBatch, fc.infiniteStream(fc.nat()), ({ samples, nodes }, draws) => {
        const leaves = leafValues(microShardCount({ from: 0, to: samples }, UNIT));
        const ofNode = ({ from, to }: Range): number =>
          sumOf(leaves.slice(from / UNIT, Math.ceil(to / UNIT)));
        const expected = byTheBook(leaves, 0, rootWidth(leaves.length));
        const total = new Float32Array(3);
        const summed: Range[] = [];
        const tree = new PairwiseReducer(total, samples, UNIT, []);
        const left = [...nodes];
        while (left.length > 0) {
          expect(summed).toEqual([]);
          const [node] = left.splice(draws.next().value % left.length, 1);
          summed.push(...tree.add(node!, new Float32Array(3).fill(ofNode(node!))));
        }
        expect([...total]).toEqual([expected, expected, expected]);
        expect(summed).toEqual([{ from: 0, to: 3 }]);

        const doubles = leaves.map((leaf) => leaf / 3);
        const whole = new PairwiseSum<number>((a, b) => a + b);
        for (const leaf of doubles) whole.push(leaf);
        const parts = nodes.map(({ from, to }): ShardScore => {
          const sum = new PairwiseSum<number>((a, b) => a + b);
          for (const leaf of doubles.slice(from / UNIT, Math.ceil(to / UNIT))) sum.push(leaf);
          return { from, to, lossSum: sum.total(), correct: 1 };
        });
        expect(exactMode(UNIT, new EngineFingerprints()).sumScores(parts.toReversed())).toEqual({
          lossSum: whole.total(),
          correct: nodes.length,
        });
      }),
      { seed: 1 },
    );
  });

  it('leaves gradients alone that it was given', () => {
    const given = [Float32Array.of(1), Float32Array.of(2), Float32Array.of(4)];
    const room: Float32Array[] = [];
    for (let step = 0; step < 2; step++) {
      const total = new Float32Array(1);
      const tree = new PairwiseReducer(total, 3 * UNIT, UNIT, room);
      for (const i of [2, 0, 1]) tree.add({ from: i * UNIT, to: (i + 1) * UNIT }, given[i]!);
      expect(total[0]).toBe(7);
    }
    expect(given.map(([value]) => value)).toEqual([1, 2, 4]);
    expect(room).toHaveLength(1);
  });
});

describe('shares in whole nodes', () => {
  const shares = fc
    .array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 9 })
    .chain((sizes) => fc.tuple(fc.constant(sizes), fc.integer({ min: 1, max: UNIT })))
    .map(([sizes, last]) => {
      let to = 0;
      const given = sizes.map((size, i): Assignment => {
        const from = to;
        to += size * UNIT - (i === sizes.length - 1 ? UNIT - last : 0);
        return { from, to, worker: idOf(i) };
      });
      return { given, samples: to };
    });

  it('cover the batch once, each worker by as many micro-shards as its share has', () => {
    checkProperty(
      fc.property(shares, ({ given, samples }) => {
        const nodes = alignedBlocks(given, samples, UNIT);
        const inOrder = nodes.toSorted((a, b) => a.from - b.from);
        expect(inOrder[0]?.from).toBe(0);
        expect(inOrder.at(-1)?.to).toBe(samples);
        inOrder.slice(1).forEach(({ from }, i) => expect(from).toBe(inOrder[i]?.to));
        for (const { from, to } of nodes) {
          const width = rootWidth(microShardCount({ from, to }, UNIT));
          expect((from / UNIT) % width).toBe(0);
          expect(to === samples || to - from === width * UNIT).toBe(true);
        }
        for (const { worker, ...range } of given) {
          const own = nodes.filter((node) => node.worker === worker);
          const leaves = own.reduce((sum, node) => sum + microShardCount(node, UNIT), 0);
          expect(leaves).toBe(microShardCount(range, UNIT));
          expect(own.length).toBeLessThanOrEqual(4);
          expect(own.map(({ from, to }) => to - from)).toEqual(
            own.map(({ from, to }) => to - from).toSorted((a, b) => b - a),
          );
        }
      }),
      { seed: 2 },
    );
  });

  it('are as few as can be', () => {
    const workers = [idOf(0), idOf(1), idOf(2)];
    const nodes = (count: number, samples: number): string[] =>
      alignedBlocks(evenSplit(samples, workers.slice(0, count), 16), samples, 16).map(
        ({ worker, from, to }) => `${worker} ${from}-${to}`,
      );
    expect(nodes(1, 128)).toEqual(['w0 0-128']);
    expect(nodes(1, 96)).toEqual(['w0 0-96']);
    expect(nodes(2, 128)).toEqual(['w0 0-64', 'w1 64-128']);
    expect(nodes(3, 128)).toEqual(['w0 0-32', 'w1 32-64', 'w2 64-96', 'w1 96-112', 'w2 112-128']);
    expect(nodes(2, 100)).toEqual(['w1 0-64', 'w0 64-100']);
  });

  it('are not cut below a micro-shard', () => {
    expect(splitBlock({ from: 0, to: 10 }, UNIT, 9)).toEqual([
      { from: 0, to: 4 },
      { from: 4, to: 8 },
      { from: 8, to: 10 },
    ]);
  });
});

describe('the times of a step', () => {
  it('are those of whole shares', () => {
    const times = new ShareTimes();
    const [ann, bob] = [idOf(0), idOf(1)];
    times.beginStep([
      { worker: ann, from: 0, to: 32 },
      { worker: bob, from: 32, to: 48 },
      { worker: ann, from: 48, to: 64 },
    ]);
    expect(times.shareSamples(ann)).toBe(48);
    expect(times.record(ann, 32, 5)).toBeNull();
    expect(times.record(bob, 16, 4)).toMatchObject({ samples: 16, busyMs: 4 });
    expect(times.record(ann, 16, 3)).toMatchObject({ samples: 48, busyMs: 8 });
    expect(times.record(ann, 16, 2)).toEqual({ samples: 16, busyMs: 2 });
  });
});
