import { forecastStep, type RunCosts, type StepForecast } from '../links/cost-model.ts';
import { bucketCount } from '../weights/bucket-offsets.ts';
import type { DenseKernel } from '../../shared/codec/factors.ts';
import { CODEC_LEVELS, leastLossyFastCodecs } from '../links/policy.ts';
import { codecLabel, FLOAT32_LINK, type LinkCodecs } from '../links/codecs.ts';

export interface PlanSettings {
  readonly workers: number;
  readonly batchSize: number;
  /** Of each worker's link, bits a second. */
  readonly rate: number;
  /** Of the coordinator's. */
  readonly coordinatorRate: number;
  /** One way. */
  readonly delayMs: number;
  readonly msPerSample: number;
  /** In a gradient. */
  readonly parameterCount: number;
  /** The dense layer whose gradient may travel as factors. */
  readonly kernel: DenseKernel | null;
  readonly sampleBytes: number;
  readonly tailAt: number;
}

/** A forecast of a run with one kind of worker. */
export interface PlannedRun extends StepForecast {
  readonly workers: number;
  readonly batchSize: number;
  readonly codec: string;
  readonly samplesPerSecond: number;
}

/**
 * The coordinator's CPU, as measured with the default model (docs/benchmarks.md): receiving, decoding and adding a gradient and
 * sending weights, a worker; and optimizer and encoding, a step. Proportional to the size of the model.
 */
const MEASURED_VALUES = 600_810;
const PER_WORKER_MS = 2.5;
const PER_STEP_MS = 2;
/** Of a link's bits, headers of TCP, IP and Ethernet take their part. */
const WIRE_OVERHEAD = 1.05;

export function planRun(settings: PlanSettings, codecs: LinkCodecs): PlannedRun {
  const { workers, batchSize, rate, coordinatorRate, delayMs, msPerSample, parameterCount, tailAt } =
    settings;
  const size = parameterCount / MEASURED_VALUES;
  const worker = {
    perSampleMs: msPerSample,
    fixedMs: 0,
    rttMs: 2 * delayMs,
    codecs,
    gradientReadyAt: tailAt,
    acceptsBuckets: true,
    downMsPerByte: (WIRE_OVERHEAD * 8_000) / rate,
    upMsPerByte: (WIRE_OVERHEAD * 8_000) / rate,
  };
  const run: RunCosts = {
    batchSize,
    sampleBytes: settings.sampleBytes,
    payloadShape: {
      values: parameterCount,
      kernel: settings.kernel,
      bucketCount: bucketCount(parameterCount),
    },
    workers: Array.from({ length: workers }, () => worker),
    coordinatorMsPerByte: (WIRE_OVERHEAD * 8_000) / coordinatorRate,
    coordinatorMs: { perWorker: PER_WORKER_MS * size, perStep: PER_STEP_MS * size },
  };
  const forecast = forecastStep(run);
  const codec = codecLabel({ codec: codecs.up, updateCodec: codecs.down });
  return { ...forecast, workers, batchSize, codec, samplesPerSecond: (1_000 * batchSize) / forecast.stepMs };
}

/** With the codecs that --codec auto would choose: the least lossy of those that are nearly as fast as the fastest. */
export function planWithBestCodecs(settings: PlanSettings): PlannedRun {
  const plans = CODEC_LEVELS.map((codecs) => planRun(settings, codecs));
  return leastLossyFastCodecs(plans, ({ stepMs }) => stepMs) ?? planRun(settings, FLOAT32_LINK);
}
