import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  describeBottleneck,
  findBottleneck,
  type MeasuredRun,
  type MeasuredWorker,
} from '../../../coordinator/observe/bottleneck.ts';
import { forecastStep, type RunCosts, type WorkerCosts } from '../../../coordinator/links/cost-model.ts';
import { FLOAT32_LINK } from '../../../coordinator/links/codecs.ts';
import { checkProperty } from '../../support/property.ts';

const VALUES = 600_810;
const VECTORS = { values: VALUES, kernel: null, bucketCount: 0 };
/** 100 Mb/s. */
const PER_BYTE = 8e-5;
const free: WorkerCosts = {
  perSampleMs: 1,
  fixedMs: 0,
  rttMs: 0,
  downMsPerByte: 0,
  upMsPerByte: 0,
  gradientReadyAt: 1,
  acceptsBuckets: true,
  codecs: FLOAT32_LINK,
};
const linked = { ...free, rttMs: 4, downMsPerByte: PER_BYTE, upMsPerByte: PER_BYTE };
const run = (workers: readonly WorkerCosts[], changes: Partial<RunCosts> = {}): RunCosts => ({
  batchSize: 128,
  payloadShape: VECTORS,
  sampleBytes: 784,
  workers,
  coordinatorMsPerByte: 0,
  coordinatorMs: { perWorker: 0, perStep: 0 },
  ...changes,
});
const TRANSFER_MS = 2 * 4 * VALUES * PER_BYTE;

describe('the model of a step', () => {
  it('adds computation, transfers and delays where nothing travels ahead', () => {
    expect(forecastStep(run([free])).stepMs).toBe(128);
    expect(forecastStep(run([linked])).stepMs).toBeCloseTo(128 + TRANSFER_MS + 4);
    expect(forecastStep(run([linked, linked])).stepMs).toBeCloseTo(64 + TRANSFER_MS + 4);
    const coordinatorMs = { perWorker: 2, perStep: 5 };
    expect(forecastStep(run([free, free], { coordinatorMs })).stepMs).toBe(64 + 9);
  });

  it('hides tails behind the computation, as far as there is any left', () => {
    const half = { ...linked, gradientReadyAt: 0.5 };
    const one = { payloadShape: { ...VECTORS, bucketCount: 1 } };
    expect(forecastStep(run([half], one)).stepMs).toBeCloseTo(64 + TRANSFER_MS + 4);
    const long = forecastStep(run([half], { ...one, batchSize: 1024 }));
    expect(long.stepMs).toBeCloseTo(1024 + 0.02 * TRANSFER_MS + 4);
    expect(long.computeMs).toBe(1024);
  });

  it('has pieces travel back while others are on their way', () => {
    const pieces = { payloadShape: { ...VECTORS, bucketCount: 4 } };
    const [tailMs, headMs] = [0.98 * TRANSFER_MS, 0.02 * TRANSFER_MS];
    expect(forecastStep(run([linked], pieces)).stepMs).toBeCloseTo(128 + (5 / 8) * tailMs + headMs + 4);
    const uneven = { ...linked, downMsPerByte: PER_BYTE / 4 };
    expect(forecastStep(run([uneven], pieces)).stepMs).toBeCloseTo(
      128 + (1 / 2 + 1 / 32) * tailMs + (5 / 8) * headMs + 4,
    );
  });

  it("has the workers' bytes share the coordinator's link", () => {
    const shared = forecastStep(
      run([linked, linked, linked, linked], { coordinatorMsPerByte: PER_BYTE / 2 }),
    );
    expect(shared.isLimitedByCoordinatorLink).toBe(true);
    // The next step's samples do not fit beside the computation of this one's.
    expect(shared.stepMs).toBeGreaterThanOrEqual(32 + 2 * TRANSFER_MS + 4);
  });

  it('never takes less than the computation, nor more than everything in a row', () => {
    const part = fc.double({ min: 0.1, max: 1, noNaN: true });
    checkProperty(
      fc.property(part, part, fc.integer({ min: 1, max: 8 }), (tailAt, scale, count) => {
        const worker = { ...linked, tailAt, downMsPerByte: scale * PER_BYTE };
        const workers = Array.from({ length: count }, () => worker);
        const samplesMs = (128 / count) * 789 * worker.downMsPerByte;
        const { stepMs, computeMs } = forecastStep(
          run(workers, { payloadShape: { ...VECTORS, bucketCount: count % 5 } }),
        );
        return stepMs >= computeMs && stepMs <= computeMs + TRANSFER_MS + samplesMs + 4 + 1e-6;
      }),
      { seed: 1 },
    );
  });
});

const measured = (name: string, changes: Partial<MeasuredWorker> = {}): MeasuredWorker => ({
  ...free,
  name,
  samples: 64,
  turnaroundMs: 70,
  ...changes,
});
const seen = (stepMs: number, workers: readonly MeasuredWorker[]): MeasuredRun => ({
  stepMs,
  workers,
  batchSize: 128,
  payloadShape: VECTORS,
  sampleBytes: 784,
});

describe('advice', () => {
  it('says that the computation of the slowest counts, and that one more like the fastest would help', () => {
    const said = describeBottleneck(seen(75, [measured('ann'), measured('bob', { turnaroundMs: 72 })]));
    expect(said).toBe(
      'A step takes 75 ms: bob computes its 64 samples in 64 ms, sums, optimizer and sending take the coordinator 11 ms. ' +
        'With one more worker like ann, on a machine of its own, steps would be up to 1.3x faster.',
    );
  });

  it('says that a link counts, and what a faster one would bring', () => {
    const ann = measured('ann', { ...linked, turnaroundMs: 450 });
    const said = describeBottleneck(seen(455, [ann]));
    expect(said).toMatch(
      /^A step takes 455 ms: the connection of ann \(float32\/float32\) takes 38\d ms, ann computes its 64 samples in 64 ms/,
    );
    expect(said).toMatch(/ With a connection twice as fast for ann, steps would be about 1\.\dx faster\. /);
    expect(findBottleneck(seen(455, [ann]))?.linkMs).toBeCloseTo(386, 0);
  });

  it('says what somebody costs whose link takes longer than its part of the batch is worth, and what that part is', () => {
    const thin = { ...linked, rttMs: 80, downMsPerByte: 10 * PER_BYTE, upMsPerByte: 10 * PER_BYTE };
    const far = measured('far', { ...thin, samples: 4, turnaroundMs: 4000 });
    expect(describeBottleneck(seen(4005, [measured('ann'), measured('bob'), far]))).toMatch(
      / Without worker far, steps would be about \d+\.\dx faster; the others would compute its 4 samples\. /,
    );
  });

  it('does not advise against a slow worker whose part of the batch is as small as it is slow', () => {
    const slow = measured('slow', { perSampleMs: 4, samples: 26, turnaroundMs: 105 });
    const said = describeBottleneck(seen(106, [measured('ann', { samples: 102, turnaroundMs: 104 }), slow]));
    expect(said).toMatch(/^A step takes 106 ms: slow computes its 26 samples in 104 ms\./);
    expect(said).not.toContain('Without');
  });

  it('does not advise against a worker that steps wait for, where the others would take as long without it', () => {
    const slow = measured('slow', { perSampleMs: 4, samples: 32, turnaroundMs: 129 });
    const said = describeBottleneck(seen(130, [measured('ann', { samples: 96, turnaroundMs: 97 }), slow]));
    expect(said).toMatch(/^A step takes 130 ms: slow computes its 32 samples in 128 ms\./);
    expect(said).not.toContain('Without');
  });

  it('never names a batch size, whose cost in accuracy is not known here', () => {
    const links = [free, linked, { ...linked, rttMs: 200 }];
    checkProperty(
      fc.property(
        fc.constantFrom(...links),
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        fc.double({ min: 1, max: 1000, noNaN: true }),
        (link, perSampleMs, more) => {
          const turnaroundMs = 64 * perSampleMs + more;
          const ann = measured('ann', { ...link, perSampleMs, turnaroundMs });
          expect(describeBottleneck(seen(turnaroundMs + 5, [ann, measured('bob')])) ?? '').not.toMatch(
            /batch/,
          );
        },
      ),
      { seed: 5 },
    );
  });

  it('says that the coordinator counts where nobody else does', () => {
    const quick = { perSampleMs: 0.01, turnaroundMs: 2 };
    const said = describeBottleneck(seen(40, [measured('ann', quick), measured('bob', quick)]));
    expect(said).toBe(
      'A step takes 40 ms: sums, optimizer and sending take the coordinator 39 ms. ' +
        'One more worker would make hardly any difference.',
    );
  });

  it('says nothing where the figures of a worker are not of these steps', () => {
    expect(
      describeBottleneck(seen(109, [measured('ann', { perSampleMs: 3.8, turnaroundMs: 273 })])),
    ).toBeNull();
  });

  it('has nothing to say of nobody', () => {
    expect(describeBottleneck(seen(40, []))).toBeNull();
  });
});
