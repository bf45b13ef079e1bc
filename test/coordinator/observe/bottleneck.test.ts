import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  describeBottleneck,
  findBottleneck,
  type MeasuredRun,
  type MeasuredWorker,
} from '../../../coordinator/observe/bottleneck.ts';
import { checkProperty } from '../../support/property.ts';
import { MS_PER_BYTE, PAYLOAD, workerCosts } from '../links/link-examples.ts';

const linked = workerCosts({ rttMs: 4, downMsPerByte: MS_PER_BYTE, upMsPerByte: MS_PER_BYTE });
const measured = (name: string, changes: Partial<MeasuredWorker> = {}): MeasuredWorker => ({
  ...workerCosts(),
  name,
  samples: 64,
  turnaroundMs: 70,
  ...changes,
});
const measuredRun = (stepMs: number, workers: readonly MeasuredWorker[]): MeasuredRun => ({
  stepMs,
  workers,
  batchSize: 128,
  payloadShape: PAYLOAD,
  sampleBytes: 784,
});

describe('advice on a bottleneck', () => {
  it('names the computation of the slowest worker, and the gain from one more worker like the fastest', () => {
    const advice = describeBottleneck(
      measuredRun(75, [measured('ann'), measured('bob', { turnaroundMs: 72 })]),
    );
    expect(advice).toBe(
      'A step takes 75 ms: bob computes its 64 samples in 64 ms, the coordinator takes 11 ms for sums, optimizer and sending. ' +
        'With one more worker like ann, on a machine of its own, steps would be up to 1.3x faster.',
    );
  });

  it('names data that is read more slowly than it is computed', () => {
    const run = { ...measuredRun(120, [measured('ann')]), dataWaitMs: 45 };
    expect(describeBottleneck(run)).toBe(
      'A step takes 120 ms: ann computes its 64 samples in 64 ms, it waits 45 ms for its samples to be read. ' +
        'If the data were read in time, from a faster disk or with smaller images, steps would be up to 1.6x faster. ' +
        'One more worker would hardly make a difference.',
    );
    expect(findBottleneck(run)).toMatchObject({ dataMs: 45, coordinatorMs: 11 });
  });

  it('names a slow link, and the gain from a faster one', () => {
    const ann = measured('ann', { ...linked, turnaroundMs: 450 });
    const advice = describeBottleneck(measuredRun(455, [ann]));
    expect(advice).toMatch(
      /^A step takes 455 ms: the connection of ann \(float32\/float32\) takes 38\d ms, ann computes its 64 samples in 64 ms/,
    );
    expect(advice).toMatch(/ With a connection twice as fast for ann, steps would be about 1\.\dx faster\. /);
    expect(findBottleneck(measuredRun(455, [ann]))?.linkMs).toBeCloseTo(386, 0);
  });

  it('names what needs the whole gradient, if buckets would make steps faster', () => {
    const ann = measured('ann', { ...linked, acceptsBuckets: true, turnaroundMs: 450 });
    const run = { ...measuredRun(455, [ann]), payloadShape: { ...PAYLOAD, bucketCount: 4 } };
    expect(describeBottleneck(run)).not.toContain('whole');
    expect(describeBottleneck({ ...run, wholeGradientFor: 'lamb' })).toMatch(
      / Weights are sent only when the gradient is whole, which lamb needs; without it, steps would be up to \d\.\dx faster\. /,
    );
    // Up and down follow each other: the link takes the sum of both.
    const linkMs = (wholeGradientFor: string | null) => findBottleneck({ ...run, wholeGradientFor })!.linkMs;
    expect(linkMs('lamb')).toBeCloseTo(386, 0);
    expect(linkMs(null)).toBeLessThan(250);
    const near = { ...measuredRun(75, [measured('ann')]), wholeGradientFor: 'lamb' };
    expect(describeBottleneck(near)).not.toContain('whole');
  });

  it('names a worker whose link costs more time than its share of the batch saves, and the size of that share', () => {
    const slowLink = { ...linked, rttMs: 80, downMsPerByte: 10 * MS_PER_BYTE, upMsPerByte: 10 * MS_PER_BYTE };
    const far = measured('far', { ...slowLink, samples: 4, turnaroundMs: 4000 });
    expect(describeBottleneck(measuredRun(4005, [measured('ann'), measured('bob'), far]))).toMatch(
      / Without worker far, steps would be about \d+\.\dx faster; the others would compute its 4 samples\. /,
    );
  });

  it('keeps a slow worker whose share of the batch is small enough', () => {
    const slow = measured('slow', { perSampleMs: 4, samples: 26, turnaroundMs: 105 });
    const advice = describeBottleneck(
      measuredRun(106, [measured('ann', { samples: 102, turnaroundMs: 104 }), slow]),
    );
    expect(advice).toMatch(/^A step takes 106 ms: slow computes its 26 samples in 104 ms\./);
    expect(advice).not.toContain('Without');
  });

  it('keeps the slowest worker if the others would take as long without it', () => {
    const slow = measured('slow', { perSampleMs: 4, samples: 32, turnaroundMs: 129 });
    const advice = describeBottleneck(
      measuredRun(130, [measured('ann', { samples: 96, turnaroundMs: 97 }), slow]),
    );
    expect(advice).toMatch(/^A step takes 130 ms: slow computes its 32 samples in 128 ms\./);
    expect(advice).not.toContain('Without');
  });

  it('never suggests a batch size: its cost in accuracy is not known', () => {
    const links = [workerCosts(), linked, { ...linked, rttMs: 200 }];
    checkProperty(
      fc.property(
        fc.constantFrom(...links),
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        fc.double({ min: 1, max: 1000, noNaN: true }),
        (link, perSampleMs, exposedMs) => {
          const turnaroundMs = 64 * perSampleMs + exposedMs;
          const ann = measured('ann', { ...link, perSampleMs, turnaroundMs });
          expect(describeBottleneck(measuredRun(turnaroundMs + 5, [ann, measured('bob')])) ?? '').not.toMatch(
            /batch/,
          );
        },
      ),
      { seed: 5 },
    );
  });

  it('names the coordinator if its own work takes most of the time', () => {
    const fast = { perSampleMs: 0.01, turnaroundMs: 2 };
    const advice = describeBottleneck(measuredRun(40, [measured('ann', fast), measured('bob', fast)]));
    expect(advice).toBe(
      'A step takes 40 ms: the coordinator takes 39 ms for sums, optimizer and sending. ' +
        'One more worker would hardly make a difference.',
    );
  });

  it("is null if a worker's measurements are not from these steps", () => {
    expect(
      describeBottleneck(measuredRun(109, [measured('ann', { perSampleMs: 3.8, turnaroundMs: 273 })])),
    ).toBeNull();
  });

  it('is null without workers', () => {
    expect(describeBottleneck(measuredRun(40, []))).toBeNull();
  });
});
