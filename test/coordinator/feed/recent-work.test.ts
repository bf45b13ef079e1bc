import { describe, expect, it } from 'vitest';
import { RecentWork } from '../../../coordinator/feed/recent-work.ts';
import { WorkerStats } from '../../../coordinator/members/worker-stats.ts';

const worker = () => ({ stats: new WorkerStats() });

describe('what workers have done lately', () => {
  it('is of the last finished step: the shares of all add up to its batch, however short that is', () => {
    const work = new RecentWork();
    const [ann, bob] = [worker(), worker()];
    ann.stats.answered('train', 96);
    // In two parts: what somebody else could not compute was given to it too.
    bob.stats.answered('train', 16);
    bob.stats.answered('train', 16);
    work.stepFinished([ann, bob], 128);
    expect([ann, bob].map((each) => work.of(each).share)).toEqual([0.75, 0.25]);
    ann.stats.answered('train', 80);
    work.stepFinished([ann, bob], 80);
    expect([ann, bob].map((each) => work.of(each).share)).toEqual([1, 0]);
  });

  it('counts what a worker evaluates, but as no part of a batch', () => {
    const work = new RecentWork();
    const ann = worker();
    ann.stats.answered('evaluate', 1_000);
    work.stepFinished([ann], 128);
    expect(work.of(ann).share).toBe(0);
    expect(ann.stats.samples).toBe(1_000);
  });

  it('is a rate over the last ten seconds, waiting included', () => {
    const work = new RecentWork();
    const ann = worker();
    expect(work.of(ann).samplesPerSecond).toBe(0);
    let nowMs = 0;
    const pass = (seconds: number, samples: number): number => {
      for (let i = 0; i < seconds; i++) {
        nowMs += 1_000;
        ann.stats.answered('train', samples);
        work.observe([ann], nowMs);
      }
      return work.of(ann).samplesPerSecond;
    };
    work.observe([ann], nowMs);
    expect(pass(2, 100)).toBe(100);
    // It waits for others: what it could do in the meantime is no figure of this run.
    expect(pass(2, 0)).toBe(50);
    expect(pass(10, 20)).toBe(20);
    expect(pass(10, 0)).toBe(0);
  });
});
