import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrainingCurve, WorkerActivity } from '../../../coordinator/observe/rolling-stats.ts';
import { WorkerStats } from '../../../coordinator/pool/worker.ts';
import { checkProperty } from '../../support/property.ts';
import { Scoring } from '../../../shared/model/scoring.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';

const worker = () => ({ stats: new WorkerStats() });

describe('the recent activity of workers', () => {
  it('has shares that add up to the batch of the last finished step, whatever its size', () => {
    const activity = new WorkerActivity();
    const ann = worker();
    const bob = worker();
    ann.stats.record('train', 96);
    // Two shards: bob also computed one that another worker failed to compute.
    bob.stats.record('train', 16);
    bob.stats.record('train', 16);
    activity.stepFinished([ann, bob], 128);
    expect([ann, bob].map((each) => activity.get(each).share)).toEqual([0.75, 0.25]);
    ann.stats.record('train', 80);
    activity.stepFinished([ann, bob], 80);
    expect([ann, bob].map((each) => activity.get(each).share)).toEqual([1, 0]);
  });

  it('counts evaluated samples, but not as a share of a batch', () => {
    const activity = new WorkerActivity();
    const ann = worker();
    ann.stats.record('evaluate', 1_000);
    activity.stepFinished([ann], 128);
    expect(activity.get(ann).share).toBe(0);
    expect(ann.stats.samples).toBe(1_000);
  });

  it('has the rate of training in the last ten seconds, waiting included', () => {
    const activity = new WorkerActivity();
    const ann = worker();
    expect(activity.get(ann).samplesPerSecond).toBe(0);
    let nowMs = 0;
    const pass = (seconds: number, samples: number): number => {
      for (let i = 0; i < seconds; i++) {
        nowMs += 1_000;
        ann.stats.record('train', samples);
        activity.recordProgress([ann], nowMs, true);
      }
      return activity.get(ann).samplesPerSecond;
    };
    activity.recordProgress([ann], nowMs, true);
    expect(pass(2, 100)).toBe(100);
    // The worker waits for others, which lowers its rate.
    expect(pass(2, 0)).toBe(50);
    expect(pass(10, 20)).toBe(20);
    expect(pass(10, 0)).toBe(0);
    // An evaluation in between counts neither as training nor as waiting.
    expect(pass(5, 30)).toBe(15);
    for (let i = 0; i < 60; i++) {
      ann.stats.record('evaluate', 1_000);
      nowMs += 1_000;
      activity.recordProgress([ann], nowMs, false);
      expect(activity.get(ann).samplesPerSecond).toBe(15);
    }
    expect(pass(5, 30)).toBe(30);
  });
});

const scoring = new Scoring(exampleJob);

describe('the training curve', () => {
  it('has a point for every step while there are few', () => {
    const curve = new TrainingCurve(8, scoring);
    expect(curve.add(1, 4, { lossSum: 8, metrics: [1] })).toEqual({
      step: 1,
      steps: 1,
      loss: 2,
      metrics: { accuracy: 0.25 },
    });
    expect(curve.add(2, 4, { lossSum: 4, metrics: [2] })).toEqual({
      step: 2,
      steps: 1,
      loss: 1,
      metrics: { accuracy: 0.5 },
    });
    expect(curve.points.map(({ step }) => step)).toEqual([1, 2]);
  });

  it('merges neighbors when there are too many points, and continues with longer points', () => {
    const curve = new TrainingCurve(4, scoring);
    const added = Array.from({ length: 8 }, (_, i) => curve.add(i + 1, 2, { lossSum: 2 * i, metrics: [1] }));
    expect(added.map((point) => point?.step ?? null)).toEqual([1, 2, 3, 4, null, 6, null, 8]);
    expect(curve.points).toEqual([
      { step: 4, steps: 4, loss: 1.5, metrics: { accuracy: 0.5 } },
      { step: 8, steps: 4, loss: 5.5, metrics: { accuracy: 0.5 } },
    ]);
  });

  it('never has too many points, and covers all steps but those of the unfinished point', () => {
    checkProperty(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 2000 }), (half, steps) => {
        const curve = new TrainingCurve(2 * half, scoring);
        for (let step = 1; step <= steps; step++) curve.add(step, 3, { lossSum: step, metrics: [step % 3] });
        const { points } = curve;
        const covered = points.reduce((sum, point) => sum + point.steps, 0);
        expect(points.length).toBeLessThan(2 * half);
        expect(points.at(-1)?.step ?? 0).toBe(covered);
        expect(steps - covered).toBeLessThanOrEqual(Math.max(steps / half, 1));
      }),
      { seed: 1 },
    );
  });
});
