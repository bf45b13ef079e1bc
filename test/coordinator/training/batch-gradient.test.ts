import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchGradient } from '../../../coordinator/training/batch-gradient.ts';
import { cut, type Range } from '../../../coordinator/training/schedule.ts';

const LENGTH = 5;
/** Small integers, so that sums are exact whatever their order is. */
const valueOf = (sample: number, i: number): number => ((sample * 31 + i * 7) % 11) - 5;
const gradientOf = ({ from, to }: Range): Float32Array =>
  Float32Array.from({ length: LENGTH }, (_, i) => {
    let sum = 0;
    for (let sample = from; sample < to; sample++) sum += valueOf(sample, i);
    return sum;
  });

/** What a shard does: answers in one or two pieces, or sends its tail and is lost, so that others do its samples. */
type Fate = 'whole' | 'two pieces' | 'lost after its tail' | 'lost';

function run(samples: number, tailFrom: number, fates: readonly Fate[], shuffle: (n: number) => number) {
  const total = new Float32Array(LENGTH).fill(NaN);
  const told: { part: Range; sum: number[] }[] = [];
  const gradient = new BatchGradient(total, tailFrom, samples, (part) =>
    told.push({ part, sum: [...total.subarray(part.from, part.to)] }),
  );
  /** Each a row of deliveries that come in this order, among those of the others. */
  let rows = cut({ from: 0, to: samples }, fates.length).map((range, i) => deliveries(range, fates[i]!));
  function deliveries(range: Range, fate: Fate): (() => void)[] {
    const values = gradientOf(range);
    const [whole, tail, head] = [
      () => gradient.add(range, values),
      () => gradient.addTail(range, values.subarray(tailFrom)),
      () => gradient.add(range, values.subarray(0, tailFrom)),
    ];
    if (fate === 'whole') return [whole];
    if (fate === 'two pieces') return [tail, head];
    const pieces = cut(range, 2).flatMap((piece) => deliveries(piece, 'two pieces'));
    return fate === 'lost' ? pieces : [tail, ...pieces];
  }
  while (rows.length > 0) {
    const row = rows[shuffle(rows.length)]!;
    row.shift()!();
    rows = rows.filter((other) => other.length > 0);
  }
  return { total, told };
}

describe('BatchGradient', () => {
  it('counts every sample once in both parts, whatever comes twice, ahead or never, and tells of each part once', () => {
    const fate = fc.constantFrom<Fate>('whole', 'two pieces', 'lost after its tail', 'lost');
    fc.assert(
      fc.property(
        fc.integer({ min: 8, max: 60 }),
        fc.integer({ min: 1, max: LENGTH - 1 }),
        fc.array(fate, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (samples, tailFrom, fates, stream) => {
          const { total, told } = run(samples, tailFrom, fates, (n) => (stream.next().value as number) % n);
          const expected = gradientOf({ from: 0, to: samples });
          expect([...total]).toEqual([...expected]);
          expect(told).toEqual([
            { part: { from: tailFrom, to: LENGTH }, sum: [...expected.subarray(tailFrom)] },
            { part: { from: 0, to: tailFrom }, sum: [...expected.subarray(0, tailFrom)] },
          ]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is one part where there is no tail', () => {
    const { told } = run(10, LENGTH, ['whole', 'whole'], () => 0);
    expect(told).toEqual([{ part: { from: 0, to: LENGTH }, sum: [...gradientOf({ from: 0, to: 10 })] }]);
  });
});
