import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OrderedSum } from '../../../coordinator/modes/standard-mode.ts';
import type { Range } from '../../../shared/util/range.ts';
import { splitEvenly } from '../../../coordinator/scheduling/partition.ts';
import { checkProperty } from '../../support/property.ts';

const length = 5;
const gradient = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), {
    minLength: length,
    maxLength: length,
  })
  .map((values) => Float32Array.from(values));

type Part = readonly [Range, Float32Array];

const partLists = fc.array(gradient, { minLength: 1, maxLength: 9 }).map((gradients) => {
  const ranges = splitEvenly({ from: 0, to: 3 * gradients.length + 1 }, gradients.length);
  return gradients.map((values, i): Part => [ranges[i]!, values]);
});

function sumOf(parts: readonly Part[]): Uint8Array {
  const sum = new OrderedSum(new Float32Array(length).fill(NaN), 3 * parts.length + 1);
  for (const [range, values] of parts) sum.add(range, values);
  return new Uint8Array(sum.total.slice().buffer);
}

/** Sum in the order of the samples, each addition rounded to float32. */
function sumInOrder(parts: readonly Part[]): Uint8Array {
  const total = parts[0]![1].slice();
  for (const [, values] of parts.slice(1))
    values.forEach((value, i) => (total[i] = Math.fround(total[i]! + value)));
  return new Uint8Array(total.buffer);
}

describe('OrderedSum', () => {
  it('gives the bits of the order of the samples in every order of arrival', () => {
    const shuffled = partLists.chain((parts) =>
      fc.tuple(fc.constant(parts), fc.shuffledSubarray(parts, { minLength: parts.length })),
    );
    checkProperty(
      fc.property(shuffled, ([ordered, arrived]) => {
        const expected = sumInOrder(ordered);
        return (
          Buffer.compare(sumOf(ordered), expected) === 0 && Buffer.compare(sumOf(arrived), expected) === 0
        );
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  it('depends on the order: another one gives other bits', () => {
    const [one, two, three] = [1e8, 1, -1e8].map((value) => Float32Array.of(value));
    const sum = (...values: Float32Array[]): number => {
      const total = new OrderedSum(new Float32Array(1), 9);
      values.forEach((value, from) => total.add({ from, to: from + 1 }, value));
      return total.total[0]!;
    };
    expect(sum(one!, two!, three!)).toBe(0);
    expect(sum(one!, three!, two!)).toBe(1);
  });

  it('counts the added samples, and adds early ones in their order', () => {
    const sum = new OrderedSum(new Float32Array(1), 9);
    sum.add({ from: 4, to: 9 }, Float32Array.of(2));
    expect(sum.samplesAdded).toBe(0);
    sum.add({ from: 0, to: 4 }, Float32Array.of(1));
    expect(sum.samplesAdded).toBe(9);
    expect([...sum.total]).toEqual([3]);
  });

  it('ignores samples that were added before, in their turn or not', () => {
    const sum = new OrderedSum(new Float32Array(1), 9);
    const one = Float32Array.of(1);
    sum.add({ from: 4, to: 9 }, one);
    sum.add({ from: 6, to: 9 }, one);
    sum.add({ from: 0, to: 4 }, one);
    sum.add({ from: 2, to: 4 }, one);
    expect([...sum.total]).toEqual([2]);
  });

  it('does not change its inputs, not the first gradient either', () => {
    const [first, second] = [Float32Array.of(1), Float32Array.of(2)];
    const sum = new OrderedSum(new Float32Array(1), 9);
    sum.add({ from: 0, to: 1 }, first);
    sum.add({ from: 1, to: 2 }, second);
    expect([...first, ...second, ...sum.total]).toEqual([1, 2, 3]);
  });
});
