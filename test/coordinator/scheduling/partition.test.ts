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

describe('splitEvenly', () => {
  it('covers the range without gap or overlap, in parts whose lengths differ by one at most', () => {
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

  it('returns nothing for no parts or no samples', () => {
    expect(splitEvenly({ from: 3, to: 9 }, 0)).toEqual([]);
    expect(splitEvenly({ from: 3, to: 3 }, 4)).toEqual([]);
  });
});

describe('evenSplit', () => {
  it('splits a batch of 128 between three workers into 42, 43 and 43, in their order', () => {
    expect(evenSplit(128, ids(3))).toEqual([
      { worker: 'w0', from: 0, to: 42 },
      { worker: 'w1', from: 42, to: 85 },
      { worker: 'w2', from: 85, to: 128 },
    ]);
  });

  it('assigns each worker at most one share, and no empty share', () => {
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

  it('returns nothing without workers', () => {
    expect(evenSplit(128, [])).toEqual([]);
  });
});

const candidates = (all: readonly Throughput[]): Candidate[] =>
  ids(all.length).map((worker, i) => ({ worker, throughput: all[i]! }));
const throughputs = fc.array(
  fc.record({
    perSampleMs: fc.double({ min: 0.01, max: 100, noNaN: true }),
    fixedSamples: fc.double({ min: 0, max: 100, noNaN: true }),
  }),
  { minLength: 1, maxLength: 30 },
);

/** Time of a step with infinitely fine shares, in which all workers with a share finish at the same time. */
function idealMs(samples: number, all: readonly Throughput[]): number {
  let low = 0;
  let high = 1e9;
  for (let i = 0; i < 200; i++) {
    const ms = (low + high) / 2;
    const done = all.reduce((sum, each) => sum + Math.max(0, ms / each.perSampleMs - each.fixedSamples), 0);
    if (done < samples) low = ms;
    else high = ms;
  }
  return high;
}

describe('balancedSplit', () => {
  it('covers the batch once, in the order of the workers, without empty shares', () => {
    checkProperty(
      fc.property(fc.integer({ min: 1, max: 2000 }), throughputs, (samples, all) => {
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

  it('takes at most 1.15 times the ideal time for up to eight workers of speeds 1, 2 and 4', () => {
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

  it('is within one grain per worker of the ideal split, for any costs', () => {
    checkProperty(
      fc.property(fc.integer({ min: 64, max: 2000 }), throughputs, (samples, all) => {
        const workers = candidates(all);
        const slowest = slowestShardMs(balancedSplit(samples, workers), workers);
        const grain = Math.floor(samples / 64);
        const maxPerSampleMs = Math.max(...all.map(({ perSampleMs }) => perSampleMs));
        // If one more grain moved away from the slowest worker, another worker would become the slowest.
        return (
          slowest <= idealMs(samples + grain * all.length, all) + 1e-6 &&
          slowest >= idealMs(samples, all) - 1e-6 * maxPerSampleMs
        );
      }),
      { seed: 5 },
    );
  });

  it('assigns no share to a worker whose fixed cost alone exceeds the time of the other workers', () => {
    const fast = { perSampleMs: 1, fixedSamples: 0 };
    const far = { perSampleMs: 1, fixedSamples: 100 };
    expect(balancedSplit(128, candidates([fast, far, fast])).map(({ worker }) => worker)).toEqual([
      'w0',
      'w2',
    ]);
    expect(balancedSplit(128, [])).toEqual([]);
  });
});
