import { describe, expect, it } from 'vitest';
import { LINK_CODECS } from '../../../coordinator/links/codecs.ts';
import { planWithBestCodecs, planRun, type PlanSettings } from '../../../coordinator/plan/plan.ts';
import { runPlan } from '../../../cli/plan.ts';
import { bitRate, decimal } from '../../../cli/options.ts';

const settings: PlanSettings = {
  workers: 4,
  batchSize: 128,
  rate: 1e8,
  coordinatorRate: 1e9,
  delayMs: 2,
  msPerSample: 1,
  parameterCount: 600_810,
  sampleBytes: 784,
  gradientReadyAt: 1,
  kernel: null,
};

describe('a plan', () => {
  it('has the least lossy codecs of those that are nearly as fast as the fastest', () => {
    expect(planWithBestCodecs(settings).codec).toBe('int4/int4');
    expect(planWithBestCodecs({ ...settings, workers: 1, batchSize: 8192, rate: 1e9 }).codec).toBe(
      'float32/float32',
    );
  });

  it('is at least as long as the computation, and shorter with each codec', () => {
    const steps = ['float32', 'float16', 'int8', 'int4'].map(
      (name) => planRun(settings, LINK_CODECS[name]!).stepMs,
    );
    expect(steps.toSorted((a, b) => b - a)).toEqual(steps);
    expect(Math.min(...steps)).toBeGreaterThan(32);
  });

  // Milliseconds a step with two workers at 100 Mb/s, of docs/decisions/0041-whole-gradients.md.
  it.each([
    ['float32', 287, 293, 432],
    ['int8', 102, 103, 143],
  ])('is that of measured steps with %s, with and without the whole gradient', (codec, ...measured) => {
    const run = { ...settings, workers: 2, gradientReadyAt: 0.5 };
    const stepMs = (wholeGradientFor: string | null) =>
      planRun({ ...run, wholeGradientFor }, LINK_CODECS[codec]!).stepMs;
    const [first, second, whole] = measured;
    const errors = [stepMs(null) / ((first + second) / 2) - 1, stepMs('lamb') / whole - 1];
    expect(Math.max(...errors.map(Math.abs))).toBeLessThan(0.06);
  });

  it('names what needs the whole gradient, and what that costs', () => {
    const flags = { workers: 2, rate: 1e8, delay: 2, msPerSample: 1, firstBucketAt: 0.5, batchSize: 128 };
    const rest = { ...flags, parameters: 600_810, sampleBytes: 784, codec: 'float32' };
    expect(runPlan({ ...rest, optimizer: 'adam' }).join()).not.toContain('whole');
    expect(runPlan({ ...rest, clipNorm: 1 }).join()).toContain("which the clip by each tensor's norm needs");
    const text = runPlan({ ...rest, optimizer: 'lamb' }).join('\n');
    const [, whole, without] =
      /Weights are sent only when the gradient is whole, which lamb needs: a step takes (\d+) ms, without it (\d+) ms\./.exec(
        text,
      )!;
    expect(Number(whole) / Number(without)).toBeGreaterThan(1.3);
  });

  it('is printed with settings, a table, the bottleneck and changes that would help', () => {
    const { gradientReadyAt: firstBucketAt, batchSize, msPerSample, workers, rate } = settings;
    const flags = { firstBucketAt, msPerSample, workers, rate, delay: 2, codec: 'auto' };
    const lines = runPlan({ ...flags, batchSize, parameters: 600_810, sampleBytes: 784 });
    const text = lines.join('\n');
    expect(lines[0]).toBe(
      '128 samples a step, 1 ms a sample, 100 Mb/s and 4 ms round trip for each worker, 1 Gb/s for the coordinator; 600810 parameters.',
    );
    expect(text).toMatch(/workers +codec +batch +step +samples\/s +gain/);
    expect(text).toMatch(/ 1\.00 x /);
    expect(text).toMatch(/4 +float32\/float32/);
    expect(text).toMatch(/With 4 workers a step is limited by the workers' links\./);
    expect(text).toMatch(/x the samples a second with connections of twice the rate for the workers/);
    // Suggested only with its loss of accuracy, which was measured for a batch of 128.
    expect(text).toMatch(/x the samples a second with --batch-size 1024, which learns less in an epoch/);
    const smaller = runPlan({ ...flags, batchSize: 64, parameters: 600_810, sampleBytes: 784 });
    expect(smaller.join('\n')).not.toContain('--batch-size');
  });
});

describe('options of a plan', () => {
  it('are rates in the format of tc, and decimals', () => {
    expect(['500kbit', '100mbit', '1gbit', '2.5Mbit'].map(bitRate)).toEqual([5e5, 1e8, 1e9, 2.5e6]);
    for (const wrong of ['100', '0mbit', 'mbit', '-1mbit', '1 gbit'])
      expect(() => bitRate(wrong)).toThrow(/rate/);
    expect([decimal()('0.3'), decimal('zero')('0')]).toEqual([0.3, 0]);
    for (const wrong of ['0', 'x', '-1']) expect(() => decimal()(wrong)).toThrow(/above 0/);
  });
});
