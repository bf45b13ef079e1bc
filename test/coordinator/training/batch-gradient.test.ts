import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BucketedSum } from '../../../coordinator/modes/standard-mode.ts';
import type { Range } from '../../../shared/util/range.ts';
import { splitEvenly } from '../../../coordinator/scheduling/partition.ts';
import { checkProperty } from '../../support/property.ts';

const LENGTH = 7;
/** Small integers, so that sums are exact whatever their order is. */
const valueOf = (sample: number, i: number): number => ((sample * 31 + i * 7) % 11) - 5;
const gradientOf = ({ from, to }: Range): Float32Array =>
  Float32Array.from({ length: LENGTH }, (_, i) => {
    let sum = 0;
    for (let sample = from; sample < to; sample++) sum += valueOf(sample, i);
    return sum;
  });

/** Outcome of a shard: one whole answer, one part by part, or a number of parts before its worker leaves. */
type Fate = 'whole' | 'in parts' | number;

/** Parts of the vector, back to front. */
const partsOf = (cuts: readonly number[]): Range[] =>
  [0, ...cuts].map((from, i) => ({ from, to: cuts[i] ?? LENGTH })).reverse();

function run(
  samples: number,
  cuts: readonly number[],
  fates: readonly Fate[],
  shuffle: (n: number) => number,
) {
  const total = new Float32Array(LENGTH).fill(NaN);
  const completed: { part: Range; sum: number[] }[] = [];
  const sum = new BucketedSum(total, [0, ...cuts], samples);
  const add = (range: Range, values: Float32Array, offset = 0): void => {
    for (const part of sum.add(range, values, offset)) {
      completed.push({ part, sum: [...total.subarray(part.from, part.to)] });
    }
  };
  /** Deliveries of each shard, in order. Deliveries of different shards interleave. */
  let queues = splitEvenly({ from: 0, to: samples }, fates.length).map((range, i) =>
    deliveries(range, fates[i]!),
  );
  function deliveries(range: Range, fate: Fate): (() => void)[] {
    const values = gradientOf(range);
    if (fate === 'whole') return [() => add(range, values)];
    const parts = partsOf(cuts).map(
      ({ from, to }) =>
        () =>
          add(range, values.subarray(from, to), from),
    );
    if (fate === 'in parts') return parts;
    return [
      ...parts.slice(0, fate),
      ...splitEvenly(range, 2).flatMap((half, i) => deliveries(half, i === 0 ? 'in parts' : 'whole')),
    ];
  }
  while (queues.length > 0) {
    const queue = queues[shuffle(queues.length)]!;
    queue.shift()!();
    queues = queues.filter((other) => other.length > 0);
  }
  return { total, completed };
}

describe('BucketedSum', () => {
  it('adds every sample once to each part, with repeated, early and missing buckets, and reports each part once, back to front', () => {
    const fate = fc.constantFrom<Fate>('whole', 'in parts', 0, 1, 2);
    checkProperty(
      fc.property(
        fc.integer({ min: 8, max: 60 }),
        fc.subarray([1, 2, 3, 4, 5, 6], { maxLength: 3 }),
        fc.array(fate, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (samples, cuts, fates, stream) => {
          const { total, completed } = run(samples, cuts, fates, (n) => (stream.next().value as number) % n);
          const expected = gradientOf({ from: 0, to: samples });
          expect([...total]).toEqual([...expected]);
          expect(completed).toEqual(
            partsOf(cuts).map((part) => ({ part, sum: [...expected.subarray(part.from, part.to)] })),
          );
        },
      ),
      { seed: 1, numRuns: 500 },
    );
  });

  it('is one part without early buckets', () => {
    const { completed } = run(10, [], ['whole', 'whole'], () => 0);
    expect(completed).toEqual([{ part: { from: 0, to: LENGTH }, sum: [...gradientOf({ from: 0, to: 10 })] }]);
  });
});
