import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  adviceFor,
  limitsOf,
  type MeasuredRun,
  type MeasuredWorker,
} from '../../../coordinator/advice/advice.ts';
import { forecastStep, type ModelRun, type ModelWorker } from '../../../coordinator/advice/step-model.ts';
import { PLAIN } from '../../../coordinator/members/link-codecs.ts';
import { checkProperty } from '../../support/property.ts';

const VALUES = 600_810;
const VECTORS = { values: VALUES, kernel: null, pieces: 0 };
/** 100 Mb/s. */
const PER_BYTE = 8e-5;
const free: ModelWorker = {
  ...{ perSampleMs: 1, fixedMs: 0, rttMs: 0, downMsPerByte: 0, upMsPerByte: 0, tailAt: 1, tails: true },
  codecs: PLAIN,
};
const linked = { ...free, rttMs: 4, downMsPerByte: PER_BYTE, upMsPerByte: PER_BYTE };
const run = (workers: readonly ModelWorker[], changes: Partial<ModelRun> = {}): ModelRun => ({
  ...{ batch: 128, vectors: VECTORS, sampleBytes: 784, workers, coordinatorMsPerByte: 0 },
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
    const half = { ...linked, tailAt: 0.5 };
    const one = { vectors: { ...VECTORS, pieces: 1 } };
    expect(forecastStep(run([half], one)).stepMs).toBeCloseTo(64 + TRANSFER_MS + 4);
    const long = forecastStep(run([half], { ...one, batch: 1024 }));
    expect(long.stepMs).toBeCloseTo(1024 + 0.02 * TRANSFER_MS + 4);
    expect(long.computeMs).toBe(1024);
  });

  it('has pieces travel back while others are on their way', () => {
    const pieces = { vectors: { ...VECTORS, pieces: 4 } };
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
    expect(shared.sharedLink).toBe(true);
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
          run(workers, { vectors: { ...VECTORS, pieces: count % 5 } }),
        );
        return stepMs >= computeMs && stepMs <= computeMs + TRANSFER_MS + samplesMs + 4 + 1e-6;
      }),
      { seed: 1 },
    );
  });
});

const measured = (name: string, changes: Partial<MeasuredWorker> = {}): MeasuredWorker => ({
  ...{ ...free, name, samples: 64, turnaroundMs: 70 },
  ...changes,
});
const seen = (stepMs: number, workers: readonly MeasuredWorker[]): MeasuredRun => ({
  ...{ stepMs, workers, batch: 128, vectors: VECTORS, sampleBytes: 784 },
});

describe('advice', () => {
  it('says that the computation of the slowest counts, and that one more like the fastest would help', () => {
    const said = adviceFor(seen(75, [measured('ann'), measured('bob', { turnaroundMs: 72 })]));
    expect(said).toMatch(/^A step takes 75 ms: 64 ms for bob computing 64 samples/);
    expect(said).toMatch(/ One more worker like ann would bring 1\.\d x the samples a second\.$/);
  });

  it('says that a link counts, which a faster one or a larger batch would help', () => {
    const ann = measured('ann', { ...linked, turnaroundMs: 450 });
    const said = adviceFor(seen(455, [ann]));
    expect(said).toMatch(
      /^A step takes 455 ms: 38\d ms for the link of ann \(float32 up, float32 down\), 64 ms/,
    );
    expect(said).toMatch(/--batch-size 1024/);
    expect(limitsOf(seen(455, [ann]))?.linkMs).toBeCloseTo(386, 0);
  });

  it('would rather do without somebody whose link costs more than it brings', () => {
    const thin = { ...linked, rttMs: 80, downMsPerByte: 10 * PER_BYTE, upMsPerByte: 10 * PER_BYTE };
    const workers = [measured('ann'), measured('bob'), measured('far', { ...thin, turnaroundMs: 4000 })];
    expect(adviceFor(seen(4005, workers))).toMatch(/no far \(\d+\.\d x the samples a second\)/);
  });

  it('says that the coordinator counts where nobody else does', () => {
    const quick = { perSampleMs: 0.01, turnaroundMs: 2 };
    const said = adviceFor(seen(40, [measured('ann', quick), measured('bob', quick)]));
    expect(said).toMatch(/^A step takes 40 ms: 39 ms for the coordinator/);
    expect(said).toMatch(/ One more worker like ann would bring next to nothing\.$/);
  });

  it('has nothing to say of nobody', () => {
    expect(adviceFor(seen(40, []))).toBeNull();
  });
});
