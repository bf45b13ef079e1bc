import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Throughput } from '../../../coordinator/scheduling/throughput.ts';
import {
  splitEvenly,
  evenSplit,
  balancedSplit,
  slowestShardMs,
  type Candidate,
} from '../../../coordinator/scheduling/partition.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { checkProperty } from '../../support/property.ts';

const ids = (count: number): WorkerId[] => Array.from({ length: count }, (_, i) => `w${i}` as WorkerId);

describe('cut', () => {
  it('covers the range without a gap or an overlap, in parts that differ by one at most', () => {
    checkProperty(
      fc.property(fc.nat(100_000), fc.nat(5000), fc.integer({ min: 1, max: 200 }), (from, length, parts) => {
        const ranges = splitEvenly({ from, to: from + length }, parts);
        const sizes = ranges.map((range) => range.to - range.from);
        const ends = [from, ...ranges.map(({ to }) => to)];
        return (
          ranges.every((range, i) => range.from === ends[i]) &&
          ends.at(-1) === from + length &&
          ranges.length === Math.min(parts, length) &&
          (length === 0 || (Math.min(...sizes) > 0 && Math.max(...sizes) - Math.min(...sizes) <= 1))
        );
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  it('gives nothing for no parts or no samples', () => {
    expect(splitEvenly({ from: 3, to: 9 }, 0)).toEqual([]);
    expect(splitEvenly({ from: 3, to: 3 }, 4)).toEqual([]);
  });
});

describe('equalShares', () => {
  it('gives a batch of 128 to three workers as 42, 43 and 43, in their order', () => {
    expect(evenSplit(128, ids(3))).toEqual([
      { worker: 'w0', from: 0, to: 42 },
      { worker: 'w1', from: 42, to: 85 },
      { worker: 'w2', from: 85, to: 128 },
    ]);
  });

  it('never gives a worker two shares, nor an empty one', () => {
    checkProperty(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40 }), (samples, count) => {
        const shares = evenSplit(samples, ids(count));
        return (
          new Set(shares.map(({ worker }) => worker)).size === shares.length &&
          shares.every(({ from, to }) => to > from) &&
          shares.reduce((sum, { from, to }) => sum + to - from, 0) === samples
        );
      }),
      { seed: 2 },
    );
  });

  it('gives nothing if nobody is there', () => {
    expect(evenSplit(128, [])).toEqual([]);
  });
});

const candidates = (paces: readonly Throughput[]): Candidate[] =>
  ids(paces.length).map((worker, i) => ({ worker, throughput: paces[i]! }));
const paces = fc.array(
  fc.record({
    perSampleMs: fc.double({ min: 0.01, max: 100, noNaN: true }),
    fixedSamples: fc.double({ min: 0, max: 100, noNaN: true }),
  }),
  { minLength: 1, maxLength: 30 },
);

/** The time in which infinitely fine shares would be done: where all that take part end together. */
function idealMs(samples: number, all: readonly Throughput[]): number {
  let [low, high] = [0, 1e9];
  for (let i = 0; i < 200; i++) {
    const ms = (low + high) / 2;
    const done = all.reduce((sum, pace) => sum + Math.max(0, ms / pace.perSampleMs - pace.fixedSamples), 0);
    [low, high] = done < samples ? [ms, high] : [low, ms];
  }
  return high;
}

describe('fastestShares', () => {
  it('covers the batch once, in the order of the workers, and gives nobody less than nothing', () => {
    checkProperty(
      fc.property(fc.integer({ min: 1, max: 2000 }), paces, (samples, all) => {
        const workers = candidates(all);
        const shares = balancedSplit(samples, workers);
        const order = shares.map(({ worker }) => workers.findIndex((one) => one.worker === worker));
        return (
          shares.every(({ from, to }) => to > from) &&
          shares.map(({ from }) => from).join() === [0, ...shares.slice(0, -1).map(({ to }) => to)].join() &&
          shares.at(-1)?.to === samples &&
          order.every((at, i) => i === 0 || at > order[i - 1]!)
        );
      }),
      { seed: 3 },
    );
  });

  it('is done within 1.15 of the ideal time for up to eight workers of speeds 1, 2 and 4', () => {
    const speeds = fc.array(fc.constantFrom(1, 2, 4), { minLength: 1, maxLength: 8 });
    checkProperty(
      fc.property(speeds, fc.integer({ min: 128, max: 1024 }), (all, samples) => {
        const workers = candidates(all.map((speed) => ({ perSampleMs: 1 / speed, fixedSamples: 0 })));
        const ideal = samples / all.reduce((sum, speed) => sum + speed, 0);
        return slowestShardMs(balancedSplit(samples, workers), workers) <= 1.15 * ideal;
      }),
      { seed: 4, numRuns: 500 },
    );
  });

  it('is never beaten by more than one grain of each, whatever the costs are', () => {
    checkProperty(
      fc.property(fc.integer({ min: 64, max: 2000 }), paces, (samples, all) => {
        const workers = candidates(all);
        const slowest = slowestShardMs(balancedSplit(samples, workers), workers);
        const grain = Math.floor(samples / 64);
        const most = Math.max(...all.map(({ perSampleMs }) => perSampleMs));
        // Moving one more grain away from the slowest would make somebody else slower than that.
        return (
          slowest <= idealMs(samples + grain * all.length, all) + 1e-6 &&
          slowest >= idealMs(samples, all) - 1e-6 * most
        );
      }),
      { seed: 5 },
    );
  });

  it('gives nothing to a worker whose fixed cost alone takes longer than the others do', () => {
    const [fast, far] = [
      { perSampleMs: 1, fixedSamples: 0 },
      { perSampleMs: 1, fixedSamples: 100 },
    ];
    expect(balancedSplit(128, candidates([fast, far, fast])).map(({ worker }) => worker)).toEqual([
      'w0',
      'w2',
    ]);
    expect(balancedSplit(128, [])).toEqual([]);
  });
});
