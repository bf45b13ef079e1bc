import { forecastStep, withWholeGradient, type RunCosts, type StepForecast } from '../links/cost-model.ts';
import { earlyBucketCount } from '../weights/bucket-offsets.ts';
import type { DenseKernel } from '../../shared/codec/factors.ts';
import { CODEC_LEVELS, leastLossyFastCodecs } from '../links/policy.ts';
import { codecLabel, FLOAT32_LINK, type LinkCodecs } from '../links/codecs.ts';

export interface PlanSettings {
  readonly workers: number;
  readonly batchSize: number;
  /** Rate of each worker's link, bits a second. */
  readonly rate: number;
  /** Rate of the coordinator's link, bits a second. */
  readonly coordinatorRate: number;
  /** Delay of each worker's link, one way. */
  readonly delayMs: number;
  /** Computation of one sample by a worker. */
  readonly msPerSample: number;
  readonly parameterCount: number;
  /** Dense layer whose gradient may be sent as factors. */
  readonly kernel: DenseKernel | null;
  readonly sampleBytes: number;
  /** Fraction of a gradient's computation after which most of it is ready; 1 for an engine that returns it at the end. */
  readonly gradientReadyAt: number;
  /** Setting of the optimizer that needs the whole gradient, in words. @default null: buckets are applied as they arrive */
  readonly wholeGradientFor?: string | null;
}

/** Forecast of a run with equal workers. */
export interface PlannedRun extends StepForecast {
  readonly workers: number;
  readonly batchSize: number;
  readonly codec: string;
  readonly samplesPerSecond: number;
}

/**
 * CPU time of the coordinator, as measured with the default model (docs/benchmarks.md): for each worker, receiving, decoding
 * and adding a gradient and sending weights; for each step, optimizer and encoding. Proportional to the model's size.
 */
const MEASURED_VALUES = 600_810;
const PER_WORKER_MS = 2.5;
const PER_STEP_MS = 2;
/** Factor for the headers of TCP, IP and Ethernet. */
const WIRE_OVERHEAD = 1.05;

export function planRun(settings: PlanSettings, codecs: LinkCodecs): PlannedRun {
  const { workers, batchSize, rate, coordinatorRate, delayMs, msPerSample, parameterCount, gradientReadyAt } =
    settings;
  const size = parameterCount / MEASURED_VALUES;
  const worker = {
    perSampleMs: msPerSample,
    fixedMs: 0,
    rttMs: 2 * delayMs,
    codecs,
    gradientReadyAt,
    acceptsBuckets: true,
    downMsPerByte: (WIRE_OVERHEAD * 8_000) / rate,
    upMsPerByte: (WIRE_OVERHEAD * 8_000) / rate,
  };
  const payload = {
    values: parameterCount,
    kernel: settings.kernel,
    bucketCount: earlyBucketCount(parameterCount),
  };
  const isWhole = (settings.wholeGradientFor ?? null) !== null;
  const run: RunCosts = {
    batchSize,
    sampleBytes: settings.sampleBytes,
    payloadShape: isWhole ? withWholeGradient(payload) : payload,
    workers: Array.from({ length: workers }, () => worker),
    coordinatorMsPerByte: (WIRE_OVERHEAD * 8_000) / coordinatorRate,
    coordinatorMs: { perWorker: PER_WORKER_MS * size, perStep: PER_STEP_MS * size },
  };
  const forecast = forecastStep(run);
  const codec = codecLabel({ codec: codecs.up, updateCodec: codecs.down });
  return { ...forecast, workers, batchSize, codec, samplesPerSecond: (1_000 * batchSize) / forecast.stepMs };
}

/** Forecast with the codecs that --codec auto would choose: the least lossy ones that are nearly as fast as the fastest. */
export function planWithBestCodecs(settings: PlanSettings): PlannedRun {
  const plans = CODEC_LEVELS.map((codecs) => planRun(settings, codecs));
  return leastLossyFastCodecs(plans, ({ stepMs }) => stepMs) ?? planRun(settings, FLOAT32_LINK);
}
