import { describe, expect, it } from 'vitest';
import { OutlierFilter, type AnswerMeasurement } from '../../../coordinator/integrity/outlier-filter.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';

const id = (name: string): WorkerId => name as WorkerId;
const VALUES = 200;

/** Answers of a step: a common direction and noise, over these samples each. */
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

/** A screen that has seen some steps of these workers. */
function screenAfter(steps: number, names: readonly string[], samples = 32): OutlierFilter {
  const screen = new OutlierFilter();
  for (let seed = 1; seed <= steps; seed++) screen.accept(stepOf(names, samples, seed));
  return screen;
}

const NAMES = ['ann', 'bob', 'cyd', 'eve'];

describe('the screen', () => {
  it('finds nothing odd in honest answers', () => {
    const screen = screenAfter(20, NAMES);
    for (let seed = 100; seed < 200; seed++) {
      expect(screen.findOutliers(stepOf(NAMES, 32, seed))).toEqual([null, null, null, null]);
    }
  });

  it('notices answers that are far too large, nothing at all or against the others, in the first step too', () => {
    for (const steps of [0, 20]) {
      const screen = screenAfter(steps, NAMES);
      const honest = stepOf(NAMES, 32, 300);
      const judged = (factor: number) =>
        screen.findOutliers([...honest.slice(0, 3), scaled(honest[3]!, factor)])[3];
      expect(judged(1e30)).toBe('far larger');
      expect(judged(0)).toBe('far smaller');
      expect(judged(-1)).toBe('against the others');
      expect(judged(NaN)).toBe('far larger');
    }
  });

  it('notices a loss far above the others', () => {
    const honest = stepOf(NAMES, 32, 300);
    const screen = screenAfter(20, NAMES);
    expect(screen.findOutliers([...honest.slice(0, 3), { ...honest[3]!, lossSum: 32 * 8 }])[3]).toBe(
      'loss far larger',
    );
  });

  it('does not take the many answers of one worker for what is usual', () => {
    const screen = new OutlierFilter();
    // A free rider with all of the batch, after honest workers.
    for (let seed = 1; seed <= 8; seed++) screen.accept(stepOf(NAMES, 32, seed));
    for (let seed = 1; seed <= 200; seed++) screen.accept([scaled(stepOf(['eve'], 128, seed)[0]!, 1e-9)]);
    const honest = stepOf(['ann', 'bob', 'cyd'], 32, 400);
    expect(screen.findOutliers(honest)).toEqual([null, null, null]);
  });

  it('suspects a worker whose answers are a little odd again and again, until one is confirmed', () => {
    const screen = new OutlierFilter();
    for (let seed = 1; seed <= 20; seed++) {
      const honest = stepOf(NAMES, 32, seed);
      const noise = randomStream(1_000 + seed, Purpose.permutation);
      const sampled = honest[3]!.sampled.map(() => 10 * noise.normal());
      screen.accept([...honest.slice(0, 3), { ...honest[3]!, sampled, norm: 2 * Math.hypot(...sampled) }]);
    }
    const [ann, eve] = [screen.suspicionOf(id('ann')), screen.suspicionOf(id('eve'))];
    expect(eve).toBeGreaterThan(2 * ann);
    expect(eve).toBeGreaterThan(0.6);
    const step = stepOf(NAMES, 32, 500);
    screen.confirm(step[3]!, step);
    expect(screen.suspicionOf(id('eve'))).toBe(0);
  });

  it('does not raise the same alarm for what a recomputation has confirmed', () => {
    const screen = screenAfter(20, NAMES);
    const honest = stepOf(NAMES, 32, 600);
    const large = [...honest.slice(0, 3), scaled(honest[3]!, 20)];
    expect(screen.findOutliers(large)[3]).toBe('far larger');
    screen.confirm(large[3]!, large);
    screen.accept(large);
    expect(screen.findOutliers(large)[3]).toBeNull();
  });
});
