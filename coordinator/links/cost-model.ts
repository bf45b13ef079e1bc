import {
  areFactorsSmaller,
  factoredBytes,
  factoredKernel,
  FACTORS,
  type DenseKernel,
} from '../../shared/codec/factors.ts';
import { getCodec } from '../../shared/codec/registry.ts';
import type { Layout } from '../../shared/model/layout.ts';
import type { OptimizerSettings } from '../../shared/model/optimizer-settings.ts';
import { findCutRange, wholeRanges } from '../optimizer/whole-gradient.ts';
import { FLOAT32_LINK, type LinkCodecs } from './codecs.ts';
import type { LinkStats } from './meter.ts';

/** Size and form of the vectors that a step sends. */
export interface PayloadShape {
  /** Number of values in a gradient, and in the weights. */
  readonly values: number;
  /** Kernel whose gradient can travel as factors; null if there is none. */
  readonly kernel: DenseKernel | null;
  /** Number of buckets in which nearly all of a vector travels; 0 if vectors travel whole. */
  readonly bucketCount: number;
}

/**
 * Payload of a run whose optimizer needs the whole gradient: its buckets arrive during the computation, but weights leave only when the
 * last one has arrived, so that up and down do not overlap (docs/decisions/0041-whole-gradients.md).
 */
export const withWholeGradient = (payload: PayloadShape): PayloadShape => ({
  ...payload,
  bucketCount: Math.min(1, payload.bucketCount),
});

/** Payload of a job. @param offsets offsets of its buckets */
export function payloadShapeOf(
  optimizer: OptimizerSettings,
  layout: Layout,
  offsets: readonly number[],
): PayloadShape {
  const { length: values, slices } = layout;
  const payload = { values, kernel: factoredKernel(layout), bucketCount: offsets.length - 1 };
  const isWhole = findCutRange(wholeRanges(optimizer, slices), offsets) !== undefined;
  return isWhole ? withWholeGradient(payload) : payload;
}

/** Payload of one worker: vectors travel whole unless the worker accepts buckets. */
export const payloadShapeFor = (acceptsBuckets: boolean, payload: PayloadShape): PayloadShape =>
  acceptsBuckets ? payload : { ...payload, bucketCount: 0 };

/** Rates of a link as time for each byte. */
export type LinkRates = Pick<LinkStats, 'downMsPerByte' | 'upMsPerByte'>;

/** Time that a link needs for one gradient and for the weights that result from it. */
export interface TransferTime {
  readonly upMs: number;
  readonly downMs: number;
  /** Both directions together, less the time in which both are busy. */
  readonly wireMs: number;
}

/**
 * Time that a link needs for one gradient and for the weights that result from it. Once the first bucket of the gradient
 * has arrived, its new weights travel down while the other buckets travel up:
 *
 *     wire = max(up, down) + min(up, down) / buckets
 *
 * Factors cannot be split into buckets.
 */
export function transferTime(
  { up, down }: LinkCodecs,
  { values, kernel, bucketCount }: PayloadShape,
  samples: number,
  { upMsPerByte, downMsPerByte }: LinkRates,
): TransferTime {
  const factored = up === FACTORS && kernel !== null && areFactorsSmaller(kernel, samples);
  const upBytes = factored
    ? factoredBytes(kernel, samples, { from: 0, to: values })
    : getCodec(up === FACTORS ? FLOAT32_LINK.up : up).bytes(values);
  const upMs = upBytes * upMsPerByte;
  const downMs = getCodec(down).bytes(values) * downMsPerByte;
  const parts = factored ? 1 : Math.max(1, bucketCount);
  return { upMs, downMs, wireMs: Math.max(upMs, downMs) + Math.min(upMs, downMs) / parts };
}

/** Work that hides a part of a transfer. */
interface Overlap {
  readonly computeMs: number;
  /** Part of the computation after which the first buckets are ready. */
  readonly gradientReadyAt: number;
  /** Time that the next step's samples take on the way down. */
  readonly samplesMs: number;
  /** Part of a vector that is sent in buckets; the rest is sent when the computation has ended. */
  readonly bucketedFraction: number;
}

/**
 * Time that transfers add to a computation. Buckets are sent as soon as they are ready, the rest follows the computation:
 *
 *     max(compute, readyAt x compute + wire of the buckets, samples + down of the buckets) - compute + up + down of the rest
 *
 * Without buckets it is the sum of all transfers, less the samples that arrive during the computation.
 */
function exposedTransferMs({ upMs, downMs, wireMs }: TransferTime, overlap: Overlap): number {
  const { computeMs, gradientReadyAt, samplesMs, bucketedFraction } = overlap;
  const bucketsMs = Math.max(
    gradientReadyAt * computeMs + bucketedFraction * wireMs,
    bucketedFraction * (samplesMs + downMs),
  );
  const restMs = (1 - bucketedFraction) * (upMs + downMs);
  const lateSamplesMs = bucketedFraction > 0 ? 0 : Math.max(0, samplesMs - computeMs);
  return Math.max(computeMs, bucketsMs) - computeMs + restMs + lateSamplesMs;
}

/** Overlap for links whose hidden part is measured, not modeled. */
const NO_OVERLAP: Overlap = { computeMs: 0, gradientReadyAt: 1, samplesMs: 0, bucketedFraction: 1 };

/** Time that a shard's vectors take on a link if the computation hides none of it. */
export const fullTransferMs = (
  codecs: LinkCodecs,
  payload: PayloadShape,
  samples: number,
  rates: LinkRates,
): number => exposedTransferMs(transferTime(codecs, payload, samples, rates), NO_OVERLAP);

/** Time that any codec but float32 costs both ends together: encoding, decoding, feedback, products of factors. */
const CODING_MS = 3;

/** Full transfer time of a shard, with the time for encoding and decoding. */
export function transferAndCodingMs(
  stats: LinkRates & Pick<LinkStats, 'samples'>,
  codecs: LinkCodecs,
  payload: PayloadShape,
): number {
  const codingMs = codecs.up !== FLOAT32_LINK.up || getCodec(codecs.down).lossy ? CODING_MS : 0;
  return fullTransferMs(codecs, payload, stats.samples, stats) + codingMs;
}

/**
 * Turnaround of a shard with other codecs, based on its measured turnaround. Saved bytes count by the part that the
 * computation does not hide now; added bytes count in full. So a forecast is never better than its result, and two
 * codecs do not alternate.
 */
export function forecastTurnaroundMs(
  stats: LinkStats,
  current: LinkCodecs,
  other: LinkCodecs,
  payload: PayloadShape,
): number {
  const { turnaroundMs, computeMs, rttMs } = stats;
  const currentMs = transferAndCodingMs(stats, current, payload);
  const changeMs = transferAndCodingMs(stats, other, payload) - currentMs;
  if (changeMs >= 0) return turnaroundMs + changeMs;
  const exposedMs = Math.max(0, turnaroundMs - computeMs - rttMs);
  return turnaroundMs + changeMs * Math.min(1, exposedMs / currentMs);
}

/** Figures of a worker and its link that a step's time depends on. */
export interface WorkerCosts {
  /** Computing time of each sample. */
  readonly perSampleMs: number;
  /** Computing time of a shard beside its samples. */
  readonly fixedMs: number;
  /** Round trip of a message without payload. */
  readonly rttMs: number;
  readonly downMsPerByte: number;
  readonly upMsPerByte: number;
  readonly codecs: LinkCodecs;
  /** Part of a computation after which most of the gradient is ready; 1 for an engine that returns it all at the end. */
  readonly gradientReadyAt: number;
  /** Whether the worker's vectors travel in buckets, if the run has any. */
  readonly acceptsBuckets: boolean;
  /** Size of the worker's shard. @default an equal part of the batch */
  readonly samples?: number;
}

export interface RunCosts {
  /** Samples of a step. */
  readonly batchSize: number;
  readonly payloadShape: PayloadShape;
  readonly sampleBytes: number;
  readonly workers: readonly WorkerCosts[];
  /** Time for each byte on the coordinator's own link, which all workers share. */
  readonly coordinatorMsPerByte: number;
  /** The coordinator's own work, for each worker's gradient and once a step. */
  readonly coordinatorMs: { readonly perWorker: number; readonly perStep: number };
}

/** Duration of a step and of its parts, for the slowest worker. The parts add up to no more than the step. */
export interface StepForecast {
  readonly stepMs: number;
  readonly computeMs: number;
  /** Transfers that the computation does not hide. */
  readonly linkMs: number;
  readonly coordinatorMs: number;
  /** Whether the coordinator's link limits the transfers, and not the worker's link. */
  readonly isLimitedByCoordinatorLink: boolean;
}

/** Part of a vector that travels in buckets, measured with the default model. */
const BUCKETED_FRACTION = 0.98;
/** Size of a message's header, and of numbers and labels, for each sample. */
const SAMPLE_HEADER_BYTES = 5;

/** Forecast of a step: computation of the slowest worker, its exposed transfers and round trip, the coordinator's work. */
export function forecastStep(run: RunCosts): StepForecast {
  const { batchSize, workers, coordinatorMs } = run;
  const ownMs = coordinatorMs.perStep + coordinatorMs.perWorker * workers.length;
  const forecasts = workers.map((worker) =>
    forecastWorker(run, worker, worker.samples ?? batchSize / workers.length),
  );
  const slowest = forecasts.reduce((a, b) => (b.computeMs + b.linkMs > a.computeMs + a.linkMs ? b : a));
  return { ...slowest, stepMs: slowest.computeMs + slowest.linkMs + ownMs, coordinatorMs: ownMs };
}

/** Computing time of a shard. */
export const shardComputeMs = (
  { perSampleMs, fixedMs }: Pick<WorkerCosts, 'perSampleMs' | 'fixedMs'>,
  samples: number,
): number => perSampleMs * samples + fixedMs;

function forecastWorker(
  { payloadShape, sampleBytes, workers, coordinatorMsPerByte }: RunCosts,
  worker: WorkerCosts,
  samples: number,
): Omit<StepForecast, 'stepMs' | 'coordinatorMs'> {
  const { rttMs, codecs, gradientReadyAt, acceptsBuckets } = worker;
  const sharedMsPerByte = coordinatorMsPerByte * workers.length;
  const rates = {
    upMsPerByte: Math.max(worker.upMsPerByte, sharedMsPerByte),
    downMsPerByte: Math.max(worker.downMsPerByte, sharedMsPerByte),
  };
  const payload = payloadShapeFor(acceptsBuckets, payloadShape);
  const computeMs = shardComputeMs(worker, samples);
  const transferMs = exposedTransferMs(transferTime(codecs, payload, samples, rates), {
    computeMs,
    gradientReadyAt,
    samplesMs: samples * (sampleBytes + SAMPLE_HEADER_BYTES) * rates.downMsPerByte,
    bucketedFraction: payload.bucketCount > 0 ? BUCKETED_FRACTION : 0,
  });
  return {
    computeMs,
    linkMs: transferMs + rttMs,
    isLimitedByCoordinatorLink: sharedMsPerByte > Math.max(worker.upMsPerByte, worker.downMsPerByte),
  };
}
