import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FLOAT32_LINK } from '../../../coordinator/links/codecs.ts';
import {
  forecastStep,
  forecastTurnaroundMs,
  payloadShapeOf,
  transferAndCodingMs,
  transferTime,
  withWholeGradient,
  type RunCosts,
  type TransferTime,
  type WorkerCosts,
} from '../../../coordinator/links/cost-model.ts';
import { CODEC_LEVELS } from '../../../coordinator/links/policy.ts';
import { layoutOf } from '../../../shared/model/layout.ts';
import { checkProperty } from '../../support/property.ts';
import { BASE_LINK, measuredStats, MS_PER_BYTE, PAYLOAD, workerCosts } from './link-examples.ts';

const linked = workerCosts({ rttMs: 4, downMsPerByte: MS_PER_BYTE, upMsPerByte: MS_PER_BYTE });
const run = (workers: readonly WorkerCosts[], changes: Partial<RunCosts> = {}): RunCosts => ({
  batchSize: 128,
  payloadShape: PAYLOAD,
  sampleBytes: 784,
  workers,
  coordinatorMsPerByte: 0,
  coordinatorMs: { perWorker: 0, perStep: 0 },
  ...changes,
});
const TRANSFER_MS = 2 * 4 * PAYLOAD.values * MS_PER_BYTE;

describe('the transfer time of a gradient and its weights', () => {
  it('is the sum of both directions, or the longer direction and one bucket of the other', () => {
    const kernel = { offset: 0, inputs: 100, outputs: 100 };
    const wire = (up: string, bucketCount: number, samples = 10): TransferTime =>
      transferTime({ up, down: 'float32' }, { values: 10_000, kernel, bucketCount }, samples, {
        upMsPerByte: 100 / 40_000,
        downMsPerByte: 60 / 40_000,
      });
    expect(wire('float32', 0)).toEqual({ upMs: 100, downMs: 60, wireMs: 160 });
    expect([1, 2, 4, 8].map((buckets) => wire('float32', buckets).wireMs)).toEqual([160, 130, 115, 107.5]);
    expect(wire('float16', 4)).toEqual({ upMs: 50, downMs: 60, wireMs: 72.5 });
    // Factors describe the whole kernel. Where they are larger than the gradient, the gradient itself is sent.
    expect(wire('factors', 4)).toEqual({ upMs: 20, downMs: 60, wireMs: 80 });
    expect(wire('factors', 4, 1_000)).toEqual(wire('float32', 4));
  });

  it('hardly falls when bytes are saved in the direction that the other one hides', () => {
    const stats = measuredStats(BASE_LINK, FLOAT32_LINK);
    const savedMs = (payload: typeof PAYLOAD): number =>
      transferAndCodingMs(stats, { up: 'int8', down: 'int8' }, payload) -
      transferAndCodingMs(stats, { up: 'int4', down: 'int8' }, payload);
    expect(savedMs({ ...PAYLOAD, bucketCount: 4 })).toBeCloseTo(savedMs(PAYLOAD) / 4, 1);
  });
});

describe('the payload of a job', () => {
  const layout = layoutOf([
    { shape: [100], trainable: true },
    { shape: [300, 400], trainable: true },
  ]);
  const shape = (optimizer: object) =>
    payloadShapeOf(
      { name: 'sgd', learningRate: 1, momentum: 0, nesterov: false, ...optimizer },
      layout,
      [0, 100, 60_000],
    );

  it('has the buckets of the run', () => {
    expect(shape({})).toMatchObject({ values: 120_100, bucketCount: 2 });
  });

  it('has no overlap of up and down if the optimizer needs the whole gradient', () => {
    for (const optimizer of [{ globalClipNorm: 1 }, { clipNorm: 1 }, { name: 'lamb' }, { name: 'muon' }])
      expect(shape(optimizer).bucketCount).toBe(1);
    expect(shape({ clipValue: 1 }).bucketCount).toBe(2);
    expect(withWholeGradient(PAYLOAD).bucketCount).toBe(0);
  });

  it('makes codecs save in both directions if up and down follow each other', () => {
    const whole = { ...PAYLOAD, bucketCount: 1 };
    const stats = measuredStats(BASE_LINK, FLOAT32_LINK);
    const [early, late] = [{ ...PAYLOAD, bucketCount: 4 }, whole].map((payload) =>
      forecastTurnaroundMs(stats, { up: 'int8', down: 'int8' }, { up: 'int4', down: 'int8' }, payload),
    );
    expect(stats.turnaroundMs - late!).toBeGreaterThan(2 * (stats.turnaroundMs - early!));
  });
});

describe('the forecast turnaround with other codecs', () => {
  it('is never less than the turnaround that results', () => {
    for (const hidden of [0, 0.3, 0.9]) {
      const situation = { ...BASE_LINK, hidden };
      for (const from of CODEC_LEVELS) {
        for (const to of CODEC_LEVELS) {
          const forecastMs = forecastTurnaroundMs(measuredStats(situation, from), from, to, PAYLOAD);
          expect(forecastMs).toBeGreaterThanOrEqual(measuredStats(situation, to).turnaroundMs - 1e-6);
        }
      }
    }
  });

  it('is the measured turnaround if the codecs stay', () => {
    const stats = measuredStats(BASE_LINK, FLOAT32_LINK);
    expect(forecastTurnaroundMs(stats, FLOAT32_LINK, FLOAT32_LINK, PAYLOAD)).toBe(stats.turnaroundMs);
  });
});

describe('the forecast of a step', () => {
  it('adds computation, transfers and delays if vectors travel whole', () => {
    expect(forecastStep(run([workerCosts()])).stepMs).toBe(128);
    expect(forecastStep(run([linked])).stepMs).toBeCloseTo(128 + TRANSFER_MS + 4);
    expect(forecastStep(run([linked, linked])).stepMs).toBeCloseTo(64 + TRANSFER_MS + 4);
    const coordinatorMs = { perWorker: 2, perStep: 5 };
    expect(forecastStep(run([workerCosts(), workerCosts()], { coordinatorMs })).stepMs).toBe(64 + 9);
  });

  it('hides buckets behind the rest of the computation', () => {
    const half = { ...linked, gradientReadyAt: 0.5 };
    const one = { payloadShape: { ...PAYLOAD, bucketCount: 1 } };
    expect(forecastStep(run([half], one)).stepMs).toBeCloseTo(64 + TRANSFER_MS + 4);
    const long = forecastStep(run([half], { ...one, batchSize: 1024 }));
    expect(long.stepMs).toBeCloseTo(1024 + 0.02 * TRANSFER_MS + 4);
    expect(long.computeMs).toBe(1024);
  });

  it('sends buckets of weights down while buckets of the gradient travel up', () => {
    const four = { payloadShape: { ...PAYLOAD, bucketCount: 4 } };
    const bucketsMs = 0.98 * TRANSFER_MS;
    const restMs = 0.02 * TRANSFER_MS;
    expect(forecastStep(run([linked], four)).stepMs).toBeCloseTo(128 + (5 / 8) * bucketsMs + restMs + 4);
    const uneven = { ...linked, downMsPerByte: MS_PER_BYTE / 4 };
    expect(forecastStep(run([uneven], four)).stepMs).toBeCloseTo(
      128 + (1 / 2 + 1 / 32) * bucketsMs + (5 / 8) * restMs + 4,
    );
  });

  it("shares the coordinator's link among all workers", () => {
    const shared = forecastStep(
      run([linked, linked, linked, linked], { coordinatorMsPerByte: MS_PER_BYTE / 2 }),
    );
    expect(shared.isLimitedByCoordinatorLink).toBe(true);
    // The next step's samples take longer than the computation of this step's samples.
    expect(shared.stepMs).toBeGreaterThanOrEqual(32 + 2 * TRANSFER_MS + 4);
  });

  it('never takes less than the computation, nor more than the sum of all parts', () => {
    const part = fc.double({ min: 0.1, max: 1, noNaN: true });
    checkProperty(
      fc.property(part, part, fc.integer({ min: 1, max: 8 }), (gradientReadyAt, scale, count) => {
        const worker = { ...linked, gradientReadyAt, downMsPerByte: scale * MS_PER_BYTE };
        const workers = Array.from({ length: count }, () => worker);
        const samplesMs = (128 / count) * 789 * worker.downMsPerByte;
        const { stepMs, computeMs } = forecastStep(
          run(workers, { payloadShape: { ...PAYLOAD, bucketCount: count % 5 } }),
        );
        return stepMs >= computeMs && stepMs <= computeMs + TRANSFER_MS + samplesMs + 4 + 1e-6;
      }),
      { seed: 1 },
    );
  });
});
