import { describe, expect, it } from 'vitest';
import {
  forecastMs,
  ThroughputEstimator,
  ThroughputTracker,
} from '../../../coordinator/scheduling/throughput.ts';
import { ProbationSchedule } from '../../../coordinator/scheduling/probation.ts';
import type { EngineInfo, WorkerId } from '../../../shared/protocol/messages.ts';

const observe = (estimate: ThroughputEstimator, samples: number, ...elapsedMs: number[]): void =>
  elapsedMs.forEach((ms) => estimate.record(samples, ms));
const forecast = (estimate: ThroughputEstimator, samples: number): number =>
  forecastMs(estimate.throughput!, samples);

describe('the pace of a worker', () => {
  it('is not known before the second answer of a size: the first one pays for what engines build', () => {
    const estimate = new ThroughputEstimator();
    estimate.record(32, 5_000);
    expect(estimate.throughput).toBeNull();
    estimate.record(32, 40);
    expect(forecast(estimate, 32)).toBeCloseTo(40);
  });

  it('is not changed by a hiccup, nor by one shard of another size', () => {
    const estimate = new ThroughputEstimator();
    observe(estimate, 32, 40, 40, 40, 40, 4_000, 40, 40);
    estimate.record(24, 9_000);
    observe(estimate, 32, 40);
    expect(forecast(estimate, 32)).toBeCloseTo(40);
  });

  it('follows a lasting change within ten answers', () => {
    const estimate = new ThroughputEstimator();
    observe(estimate, 32, ...Array<number>(10).fill(40));
    observe(estimate, 32, ...Array<number>(10).fill(200));
    expect(Math.abs(forecast(estimate, 32) - 200)).toBeLessThan(10);
  });

  it('learns what is fixed from shards of different sizes', () => {
    const estimate = new ThroughputEstimator();
    const truth = (samples: number): number => 50 + samples;
    for (const samples of [64, 32, 64, 32, 64, 24]) {
      for (let i = 0; i < 5; i++) estimate.record(samples, truth(samples));
    }
    for (const samples of [16, 48, 96]) {
      expect(Math.abs(forecast(estimate, samples) / truth(samples) - 1)).toBeLessThan(0.1);
    }
  });

  it('does not take a change of speed for a fixed cost', () => {
    const estimate = new ThroughputEstimator();
    observe(estimate, 32, 32, 32, 32, 32, 32);
    // Five times slower, and half of the samples.
    observe(estimate, 16, 80, 80, 80, 80, 80);
    expect(forecast(estimate, 16)).toBeCloseTo(80);
    expect(forecast(estimate, 32)).toBeGreaterThan(140);
  });
});

describe('the paces of several workers', () => {
  const engine = (device: string): EngineInfo => ({ backend: 'wasm', version: '1', device, threads: 1 });
  const [ann, bob, cyd] = ['ann', 'bob', 'cyd'] as WorkerId[] as [WorkerId, WorkerId, WorkerId];
  const everybody = new Set([ann, bob, cyd]);

  it('are one while they have the same engine and are not clearly different', () => {
    const paces = new ThroughputTracker();
    for (let i = 0; i < 30; i++) {
      paces.beginStep(everybody);
      for (const [worker, ms] of [
        [ann, 40],
        [bob, 44],
        [cyd, 37],
      ] as const)
        paces.record(worker, engine('cpu'), 32, ms + (i % 3));
    }
    paces.beginStep(everybody);
    expect(new Set([ann, bob, cyd].map((worker) => paces.estimateFor(worker))).size).toBe(1);
  });

  it('part when one has been clearly different for some answers, and meet again', () => {
    const paces = new ThroughputTracker();
    const play = (ms: number, steps: number): void => {
      for (let i = 0; i < steps; i++) {
        paces.beginStep(everybody);
        for (const worker of [ann, bob]) paces.record(worker, engine('cpu'), 32, 40);
        paces.record(cyd, engine('cpu'), 32, ms);
      }
      paces.beginStep(everybody);
    };
    play(80, 8);
    expect(paces.estimateFor(cyd)).toBe(paces.estimateFor(ann));
    play(80, 8);
    expect(forecastMs(paces.estimateFor(cyd)!, 32)).toBeCloseTo(80);
    expect(forecastMs(paces.estimateFor(ann)!, 32)).toBeCloseTo(40);
    play(40, 20);
    expect(paces.estimateFor(cyd)).toBe(paces.estimateFor(ann));
  });

  it('are forgotten with their workers', () => {
    const paces = new ThroughputTracker();
    for (let i = 0; i < 3; i++) paces.record(ann, engine('cpu'), 32, 40);
    expect(paces.medianForecastMs(32)).toBeCloseTo(40);
    paces.beginStep(new Set([bob]));
    expect([paces.estimateFor(ann), paces.medianForecastMs(32)]).toEqual([null, null]);
  });
});

it('those in reserve are tried for four shards after fifty steps, then ever more rarely', () => {
  const trials = new ProbationSchedule();
  const tried = Array.from({ length: 1000 }, () => trials.isProbeDue('w' as WorkerId));
  const at = tried.flatMap((due, i) => (due ? [i] : []));
  expect(at).toEqual([50, 51, 52, 53, 154, 155, 156, 157, 358, 359, 360, 361, 762, 763, 764, 765]);
});
