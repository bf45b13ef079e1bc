import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GradientNorms } from '../../../../coordinator/training/audit/gradient-norms.ts';
import type { WorkerId } from '../../../../shared/protocol/messages.ts';
import { checkProperty } from '../../../support/property.ts';

const [ann, bob, cyd] = ['ann', 'bob', 'cyd'] as [WorkerId, WorkerId, WorkerId];
const shard = (from = 0, samples = 64) => ({ from, to: from + samples });

/** After some steps in which ann and bob found gradients of about this norm. */
function afterSteps(norm = 10): GradientNorms {
  const norms = new GradientNorms();
  for (let step = 0; step < 32; step++) {
    norms.begin();
    norms.counted(ann, shard(0), norm * (1 + 0.3 * Math.sin(step)));
    norms.counted(bob, shard(64), norm * (1 + 0.3 * Math.cos(step)));
  }
  norms.begin();
  return norms;
}

describe('the norms of gradients', () => {
  it('doubts what is much larger than what others find', () => {
    expect(afterSteps().mayCount(ann, shard(), 15)).toBe(true);
    expect(afterSteps().mayCount(ann, shard(), 0)).toBe(true);
    expect(afterSteps().mayCount(ann, shard(), 1_000)).toBe(false);
    expect(afterSteps().mayCount(ann, shard(), Infinity)).toBe(false);
    expect(afterSteps().mayCount(cyd, shard(), 1_000)).toBe(false);
  });

  it('says who was wrong when somebody else finds what is usual', () => {
    const norms = afterSteps();
    expect(norms.mayCount(ann, shard(), 1_000)).toBe(false);
    expect(norms.mayCount(bob, shard(), 11)).toBe(true);
    expect(norms.counted(bob, shard(), 11)).toEqual([{ worker: ann, norm: 1_000, peers: 1 }]);
    expect(norms.counted(ann, shard(64), 12)).toEqual([]);
  });

  it('takes samples for odd that two find odd', () => {
    const norms = afterSteps();
    expect(norms.mayCount(ann, shard(), 1_000)).toBe(false);
    expect(norms.mayCount(bob, shard(), 990)).toBe(true);
    expect(norms.counted(bob, shard(), 990)).toEqual([]);
  });

  it('asks a third one where two do not agree', () => {
    const norms = afterSteps();
    expect(norms.mayCount(ann, shard(), 1_000)).toBe(false);
    expect(norms.mayCount(bob, shard(), 50_000)).toBe(false);
    expect(norms.mayCount(cyd, shard(), 1_001)).toBe(true);
    expect(norms.counted(cyd, shard(), 1_001)).toEqual([{ worker: bob, norm: 50_000, peers: 1 }]);
  });

  it('lets it count where nobody else is there, so that a run goes on', () => {
    const norms = afterSteps();
    expect(norms.mayCount(ann, shard(), 1_000)).toBe(false);
    expect(norms.mayCount(ann, shard(), 3_000)).toBe(true);
    expect(norms.counted(ann, shard(), 3_000)).toEqual([]);
  });

  it('knows that a part of a gradient is smaller than all of it, and only a larger one contradicts', () => {
    for (const [part, odd] of [
      [400, []],
      [5_000, [{ worker: ann, norm: 5_000, peers: 1 }]],
    ] as const) {
      const norms = afterSteps();
      expect(norms.mayCount(ann, shard(), part, false)).toBe(false);
      expect(norms.mayCount(bob, shard(), 1_000)).toBe(false);
      expect(norms.mayCount(cyd, shard(), 1_001)).toBe(true);
      expect(norms.counted(cyd, shard(), 1_001)).toEqual(odd);
    }
  });

  it('knows nothing of the first steps, nor from a worker alone', () => {
    const norms = new GradientNorms();
    expect(norms.mayCount(ann, shard(), 1e9)).toBe(true);
    for (let step = 0; step < 100; step++) norms.counted(ann, shard(), 10);
    expect(norms.mayCount(ann, shard(), 1e9)).toBe(true);
    expect(norms.mayCount(bob, shard(), 1e9)).toBe(false);
  });

  it('follows norms as they change, and heeds how many samples a shard has', () => {
    const norms = afterSteps();
    let norm = 10;
    for (let step = 0; step < 200; step++) {
      norm *= 1.1;
      for (const [i, worker] of [ann, bob].entries()) {
        expect(norms.mayCount(worker, shard(64 * i), norm)).toBe(true);
        norms.counted(worker, shard(64 * i), norm);
      }
    }
    const few = afterSteps();
    expect(few.mayCount(ann, shard(0, 4), 10)).toBe(true);
    expect(few.mayCount(ann, shard(0, 4), 40)).toBe(false);
  });

  it('doubts nobody among honest workers, however much norms spread', () => {
    const spread = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 80, maxLength: 80 });
    checkProperty(
      fc.property(spread, (logs) => {
        const norms = new GradientNorms();
        for (const [i, log] of logs.entries()) {
          const worker = [ann, bob, cyd][i % 3] as WorkerId;
          const norm = Math.exp(log);
          // Whoever is doubted is asked for a second opinion, which agrees: nobody is wrong.
          if (!norms.mayCount(worker, shard(i), norm)) {
            const other = worker === ann ? bob : ann;
            expect(norms.mayCount(other, shard(i), norm * 1.01)).toBe(true);
            expect(norms.counted(other, shard(i), norm * 1.01)).toEqual([]);
          } else expect(norms.counted(worker, shard(i), norm)).toEqual([]);
        }
      }),
      { seed: 1 },
    );
  });
});
