import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batches, epochOrder, stepsPerEpoch } from '../../../coordinator/training/sampler.ts';
import { checkProperty } from '../../support/property.ts';

describe('epochOrder', () => {
  it('visits every sample exactly once', () => {
    checkProperty(
      fc.property(fc.nat(), fc.nat(50), fc.nat(300), (seed, epoch, count) =>
        [...epochOrder(seed, epoch, count)].sort((a, b) => a - b).every((sample, i) => sample === i),
      ),
      { seed: 1 },
    );
  });

  it('depends on seed and epoch only', () => {
    const order = (seed: number, epoch: number): string => epochOrder(seed, epoch, 100).join();
    expect(order(1, 1)).toBe(order(1, 1));
    expect(new Set([order(1, 1), order(1, 2), order(2, 1), order(2, 2)]).size).toBe(4);
  });

  it('gives every order of three samples equally often', () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const order = epochOrder(seed, 1, 3).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

describe('batches', () => {
  it('of 128 split 60,000 samples into 468 full ones and one of 96', () => {
    const sizes = [...batches(epochOrder(1, 1, 60_000), 128)].map(({ length }) => length);
    expect(sizes).toEqual([...Array<number>(468).fill(128), 96]);
    expect(stepsPerEpoch(60_000, 128)).toBe(469);
  });

  it('cover the order; there are stepsPerEpoch of them', () => {
    checkProperty(
      fc.property(fc.nat(200), fc.integer({ min: 1, max: 250 }), (count, batchSize) => {
        const order = epochOrder(1, 1, count);
        const all = [...batches(order, batchSize)];
        const joined = all.flatMap((batch) => [...batch]);
        return (
          joined.join() === order.join() &&
          all.length === stepsPerEpoch(count, batchSize) &&
          all.every(({ length }, i) => length === batchSize || (i === all.length - 1 && length > 0))
        );
      }),
      { seed: 2 },
    );
  });
});
