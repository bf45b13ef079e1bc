import { describe, expect, it } from 'vitest';
import { WorkerActivity } from '../../../coordinator/observe/rolling-stats.ts';
import { WorkerStats } from '../../../coordinator/pool/worker.ts';

const worker = () => ({ stats: new WorkerStats() });

describe('what workers have done lately', () => {
  it('is of the last finished step: the shares of all add up to its batch, however short that is', () => {
    const work = new WorkerActivity();
    const [ann, bob] = [worker(), worker()];
    ann.stats.record('train', 96);
    // In two parts: what somebody else could not compute was given to it too.
    bob.stats.record('train', 16);
    bob.stats.record('train', 16);
    work.stepFinished([ann, bob], 128);
    expect([ann, bob].map((each) => work.get(each).share)).toEqual([0.75, 0.25]);
    ann.stats.record('train', 80);
    work.stepFinished([ann, bob], 80);
    expect([ann, bob].map((each) => work.get(each).share)).toEqual([1, 0]);
  });

  it('counts what a worker evaluates, but as no part of a batch', () => {
    const work = new WorkerActivity();
    const ann = worker();
    ann.stats.record('evaluate', 1_000);
    work.stepFinished([ann], 128);
    expect(work.get(ann).share).toBe(0);
    expect(ann.stats.samples).toBe(1_000);
  });

  it('is a rate of training over the last ten seconds, waiting included', () => {
    const work = new WorkerActivity();
    const ann = worker();
    expect(work.get(ann).samplesPerSecond).toBe(0);
    let nowMs = 0;
    const pass = (seconds: number, samples: number): number => {
      for (let i = 0; i < seconds; i++) {
        nowMs += 1_000;
        ann.stats.record('train', samples);
        work.recordProgress([ann], nowMs, true);
      }
      return work.get(ann).samplesPerSecond;
    };
    work.recordProgress([ann], nowMs, true);
    expect(pass(2, 100)).toBe(100);
    // It waits for others: what it could do in the meantime is no figure of this run.
    expect(pass(2, 0)).toBe(50);
    expect(pass(10, 20)).toBe(20);
    expect(pass(10, 0)).toBe(0);
    // An evaluation in between is no training, and no waiting.
    expect(pass(5, 30)).toBe(15);
    for (let i = 0; i < 60; i++) {
      ann.stats.record('evaluate', 1_000);
      nowMs += 1_000;
      work.recordProgress([ann], nowMs, false);
      expect(work.get(ann).samplesPerSecond).toBe(15);
    }
    expect(pass(5, 30)).toBe(30);
  });
});
