import { describe, expect, it } from 'vitest';
import {
  forecastMs,
  ShardDeadline,
  ShareTimes,
  ThroughputEstimator,
  ThroughputTracker,
} from '../../../coordinator/scheduling/throughput.ts';
import type { EngineInfo, WorkerId } from '../../../shared/protocol/messages.ts';

const record = (estimate: ThroughputEstimator, samples: number, ...elapsedMs: number[]): void =>
  elapsedMs.forEach((ms) => estimate.record(samples, ms));
const forecast = (estimate: ThroughputEstimator, samples: number): number =>
  forecastMs(estimate.throughput!, samples);

describe('ThroughputEstimator', () => {
  it('has no estimate before the second answer of a size, since engines prepare during the first', () => {
    const estimate = new ThroughputEstimator();
    estimate.record(32, 5_000);
    expect(estimate.throughput).toBeNull();
    estimate.record(32, 40);
    expect(forecast(estimate, 32)).toBeCloseTo(40);
  });

  it('ignores an outlier and a single shard of another size', () => {
    const estimate = new ThroughputEstimator();
    record(estimate, 32, 40, 40, 40, 40, 4_000, 40, 40);
    estimate.record(24, 9_000);
    record(estimate, 32, 40);
    expect(forecast(estimate, 32)).toBeCloseTo(40);
  });

  it('follows a lasting change within ten answers', () => {
    const estimate = new ThroughputEstimator();
    record(estimate, 32, ...Array<number>(10).fill(40));
    record(estimate, 32, ...Array<number>(10).fill(200));
    expect(Math.abs(forecast(estimate, 32) - 200)).toBeLessThan(10);
  });

  it('estimates the fixed cost from shards of different sizes', () => {
    const estimate = new ThroughputEstimator();
    const trueMs = (samples: number): number => 50 + samples;
    for (const samples of [64, 32, 64, 32, 64, 24]) {
      for (let i = 0; i < 5; i++) estimate.record(samples, trueMs(samples));
    }
    for (const samples of [16, 48, 96]) {
      expect(Math.abs(forecast(estimate, samples) / trueMs(samples) - 1)).toBeLessThan(0.1);
    }
  });

  it('does not mistake a change of speed for a fixed cost', () => {
    const estimate = new ThroughputEstimator();
    record(estimate, 32, 32, 32, 32, 32, 32);
    // Five times slower per sample, with half as many samples.
    record(estimate, 16, 80, 80, 80, 80, 80);
    expect(forecast(estimate, 16)).toBeCloseTo(80);
    expect(forecast(estimate, 32)).toBeGreaterThan(140);
  });
});

describe('ThroughputTracker', () => {
  const engine = (device: string): EngineInfo => ({ backend: 'wasm', version: '1', device, threads: 1 });
  const ann = 'ann' as WorkerId;
  const bob = 'bob' as WorkerId;
  const cyd = 'cyd' as WorkerId;
  const allWorkers = new Set([ann, bob, cyd]);

  it('gives workers with the same engine and similar speed one estimate', () => {
    const tracker = new ThroughputTracker();
    for (let i = 0; i < 30; i++) {
      tracker.beginStep(allWorkers);
      for (const [worker, ms] of [
        [ann, 40],
        [bob, 44],
        [cyd, 37],
      ] as const)
        tracker.record(worker, engine('cpu'), 32, ms + (i % 3));
    }
    tracker.beginStep(allWorkers);
    expect(new Set([ann, bob, cyd].map((worker) => tracker.estimateFor(worker))).size).toBe(1);
  });

  it('gives a worker that differs for several answers an estimate of its own, until it differs no longer', () => {
    const tracker = new ThroughputTracker();
    const play = (ms: number, steps: number): void => {
      for (let i = 0; i < steps; i++) {
        tracker.beginStep(allWorkers);
        for (const worker of [ann, bob]) tracker.record(worker, engine('cpu'), 32, 40);
        tracker.record(cyd, engine('cpu'), 32, ms);
      }
      tracker.beginStep(allWorkers);
    };
    play(80, 8);
    expect(tracker.estimateFor(cyd)).toBe(tracker.estimateFor(ann));
    play(80, 8);
    expect(forecastMs(tracker.estimateFor(cyd)!, 32)).toBeCloseTo(80);
    expect(forecastMs(tracker.estimateFor(ann)!, 32)).toBeCloseTo(40);
    play(40, 20);
    expect(tracker.estimateFor(cyd)).toBe(tracker.estimateFor(ann));
  });

  it('discards the estimates of workers that have left', () => {
    const tracker = new ThroughputTracker();
    for (let i = 0; i < 3; i++) tracker.record(ann, engine('cpu'), 32, 40);
    expect(tracker.medianForecastMs(32)).toBeCloseTo(40);
    tracker.beginStep(new Set([bob]));
    expect([tracker.estimateFor(ann), tracker.medianForecastMs(32)]).toEqual([null, null]);
  });
});

describe('ShareTimes', () => {
  it('reports the time of a whole share once all of its shards are answered', () => {
    const times = new ShareTimes();
    const ann = 'ann' as WorkerId;
    const bob = 'bob' as WorkerId;
    times.beginStep([
      { worker: ann, from: 0, to: 32 },
      { worker: bob, from: 32, to: 48 },
      { worker: ann, from: 48, to: 64 },
    ]);
    expect(times.shareSamples(ann)).toBe(48);
    expect(times.record(ann, 32, 5)).toBeNull();
    expect(times.record(bob, 16, 4)).toMatchObject({ samples: 16, busyMs: 4 });
    expect(times.record(ann, 16, 3)).toMatchObject({ samples: 48, busyMs: 8 });
    expect(times.record(ann, 16, 2)).toEqual({ samples: 16, busyMs: 2 });
  });
});

describe('ShardDeadline', () => {
  it('is three minutes before the first answer', () => {
    expect(new ShardDeadline().timeoutMs).toBe(180_000);
  });

  it('is ten times the longest recent time, at least half a minute', () => {
    const deadline = new ShardDeadline();
    deadline.record(100);
    expect(deadline.timeoutMs).toBe(30_000);
    deadline.record(8_000);
    expect(deadline.timeoutMs).toBe(80_000);
    deadline.record(20_000);
    expect(deadline.timeoutMs).toBe(200_000);
  });

  it('decays over about a hundred fast answers after a slow one', () => {
    const deadline = new ShardDeadline();
    deadline.record(60_000);
    deadline.record(10);
    expect(deadline.timeoutMs).toBeGreaterThan(500_000);
    for (let i = 0; i < 100; i++) deadline.record(10);
    expect(deadline.timeoutMs).toBe(30_000);
  });
});
