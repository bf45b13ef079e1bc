import { describe, expect, it } from 'vitest';
import { OutlierFilter, type AnswerMeasurement } from '../../../coordinator/integrity/outlier-filter.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';

const id = (name: string): WorkerId => name as WorkerId;
const VALUES = 200;

/** Creates the answers of a step: a common direction with noise, over this number of samples each. */
function stepOf(names: readonly string[], samples: number, seed: number): AnswerMeasurement[] {
  const stream = randomStream(seed, Purpose.permutation);
  const common = Float32Array.from({ length: VALUES }, () => stream.normal());
  return names.map((name) => {
    const sampled = common.map((value) => samples * value + Math.sqrt(samples) * 3 * stream.normal());
    const norm = Math.hypot(...sampled);
    return { worker: id(name), samples, lossSum: samples * (0.3 + 0.1 * stream.uniform()), norm, sampled };
  });
}
const scaled = (answer: AnswerMeasurement, factor: number): AnswerMeasurement => ({
  ...answer,
  norm: Math.abs(factor) * answer.norm,
  sampled: answer.sampled.map((value) => factor * value),
});

/** Creates a filter that has recorded some steps of these workers. */
function filterAfter(steps: number, names: readonly string[], samples = 32): OutlierFilter {
  const filter = new OutlierFilter();
  for (let seed = 1; seed <= steps; seed++) filter.accept(stepOf(names, samples, seed));
  return filter;
}

const NAMES = ['ann', 'bob', 'cyd', 'eve'];

describe('OutlierFilter', () => {
  it('finds no outliers in honest answers', () => {
    const filter = filterAfter(20, NAMES);
    for (let seed = 100; seed < 200; seed++) {
      expect(filter.findOutliers(stepOf(NAMES, 32, seed))).toEqual([null, null, null, null]);
    }
  });

  it('finds answers that are far too large, zero or opposite to the others, also in the first step', () => {
    for (const steps of [0, 20]) {
      const filter = filterAfter(steps, NAMES);
      const honest = stepOf(NAMES, 32, 300);
      const reasonFor = (factor: number) =>
        filter.findOutliers([...honest.slice(0, 3), scaled(honest[3]!, factor)])[3];
      expect(reasonFor(1e30)).toBe('far larger');
      expect(reasonFor(0)).toBe('far smaller');
      expect(reasonFor(-1)).toBe('against the others');
      expect(reasonFor(NaN)).toBe('far larger');
    }
  });

  it('finds a loss far above the others', () => {
    const honest = stepOf(NAMES, 32, 300);
    const filter = filterAfter(20, NAMES);
    expect(filter.findOutliers([...honest.slice(0, 3), { ...honest[3]!, lossSum: 32 * 8 }])[3]).toBe(
      'loss far larger',
    );
  });

  it('weighs workers equally, however many answers each has given', () => {
    const filter = new OutlierFilter();
    // A worker with tiny gradients computes the whole batch, after steps of honest workers.
    for (let seed = 1; seed <= 8; seed++) filter.accept(stepOf(NAMES, 32, seed));
    for (let seed = 1; seed <= 200; seed++) filter.accept([scaled(stepOf(['eve'], 128, seed)[0]!, 1e-9)]);
    const honest = stepOf(['ann', 'bob', 'cyd'], 32, 400);
    expect(filter.findOutliers(honest)).toEqual([null, null, null]);
  });

  it('suspects a worker whose answers are repeatedly unusual, until one is confirmed', () => {
    const filter = new OutlierFilter();
    for (let seed = 1; seed <= 20; seed++) {
      const honest = stepOf(NAMES, 32, seed);
      const noise = randomStream(1_000 + seed, Purpose.permutation);
      const sampled = honest[3]!.sampled.map(() => 10 * noise.normal());
      filter.accept([...honest.slice(0, 3), { ...honest[3]!, sampled, norm: 2 * Math.hypot(...sampled) }]);
    }
    const [ann, eve] = [filter.suspicionOf(id('ann')), filter.suspicionOf(id('eve'))];
    expect(eve).toBeGreaterThan(2 * ann);
    expect(eve).toBeGreaterThan(0.6);
    const step = stepOf(NAMES, 32, 500);
    filter.confirm(step[3]!, step);
    expect(filter.suspicionOf(id('eve'))).toBe(0);
  });

  it('accepts an unusual answer like one that a recomputation has confirmed', () => {
    const filter = filterAfter(20, NAMES);
    const honest = stepOf(NAMES, 32, 600);
    const large = [...honest.slice(0, 3), scaled(honest[3]!, 20)];
    expect(filter.findOutliers(large)[3]).toBe('far larger');
    filter.confirm(large[3]!, large);
    filter.accept(large);
    expect(filter.findOutliers(large)[3]).toBeNull();
  });
});
