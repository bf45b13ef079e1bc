import { transferTime, payloadShapeFor, type PayloadShape } from './policy.ts';
import type { LinkCodecs } from './codecs.ts';

/** A worker and its link, as far as a step's time goes. */
export interface WorkerCosts {
  /** What computing takes: this much for each sample, and once for a shard. */
  readonly perSampleMs: number;
  readonly fixedMs: number;
  /** There and back for next to nothing. */
  readonly rttMs: number;
  readonly downMsPerByte: number;
  readonly upMsPerByte: number;
  readonly codecs: LinkCodecs;
  /** The part of a computation after which most of the gradient is there; 1 for an engine that gives it whole. */
  readonly gradientReadyAt: number;
  /** Whether its vectors travel in pieces, if the run's do. */
  readonly acceptsBuckets: boolean;
  /** Its part of a batch; without, as much as the others have. */
  readonly samples?: number;
}

export interface RunCosts {
  /** Samples a step. */
  readonly batchSize: number;
  readonly payloadShape: PayloadShape;
  readonly sampleBytes: number;
  readonly workers: readonly WorkerCosts[];
  /** What all workers' bytes pass through together. */
  readonly coordinatorMsPerByte: number;
  /** The coordinator's own work: for each worker's gradient and once a step. */
  readonly coordinatorMs: { readonly perWorker: number; readonly perStep: number };
}

/** What a step's time goes into; the slowest worker counts. They add up to no more than the step. */
export interface StepForecast {
  readonly stepMs: number;
  readonly computeMs: number;
  /** Of the transfers, what is not hidden behind the computation. */
  readonly linkMs: number;
  readonly coordinatorMs: number;
  /** Whether it is the coordinator's link that makes the transfers long, and not the worker's. */
  readonly isLimitedByCoordinatorLink: boolean;
}

/** Of a gradient or of weights, what travels ahead of the rest. */
const BUCKETED_FRACTION = 0.98;
/** Headers of messages, numbers and labels of samples. */
const SAMPLE_HEADER_BYTES = 5;

/**
 * How long a step takes. A gradient's tail leaves as soon as it is there, the weights' tail follows it
 * back piece by piece; heads travel when the computation is over:
 *
 *     step = max(compute, tailAt x compute + wire of the tail, samples + down of the tail)
 *            + up + down of the head + rtt + coordinator
 *
 * See passage() for the wire. Where vectors travel whole that is the sum of everything. The next step's samples travel down while a shard is computed.
 */
export function forecastStep(run: RunCosts): StepForecast {
  const { batchSize, workers, coordinatorMs } = run;
  const ownMs = coordinatorMs.perStep + coordinatorMs.perWorker * workers.length;
  const forecasts = workers.map((worker) =>
    forecastWorker(run, worker, worker.samples ?? batchSize / workers.length),
  );
  const slowest = forecasts.reduce((a, b) => (b.computeMs + b.linkMs > a.computeMs + a.linkMs ? b : a));
  return { ...slowest, stepMs: slowest.computeMs + slowest.linkMs + ownMs, coordinatorMs: ownMs };
}

function forecastWorker(
  { payloadShape, sampleBytes, workers, coordinatorMsPerByte }: RunCosts,
  worker: WorkerCosts,
  samples: number,
): Omit<StepForecast, 'stepMs' | 'coordinatorMs'> {
  const { perSampleMs, fixedMs, rttMs, codecs, gradientReadyAt, acceptsBuckets } = worker;
  const sharedMsPerByte = coordinatorMsPerByte * workers.length;
  const [up, down] = [
    Math.max(worker.upMsPerByte, sharedMsPerByte),
    Math.max(worker.downMsPerByte, sharedMsPerByte),
  ];
  const computeMs = perSampleMs * samples + fixedMs;
  const rates = { upMsPerByte: up, downMsPerByte: down };
  const { upMs, downMs, wireMs } = transferTime(
    codecs,
    payloadShapeFor(worker.acceptsBuckets, payloadShape),
    samples,
    rates,
  );
  const samplesMs = samples * (sampleBytes + SAMPLE_HEADER_BYTES) * down;
  const tail = acceptsBuckets && payloadShape.bucketCount > 0 ? BUCKETED_FRACTION : 0;
  const ahead = Math.max(gradientReadyAt * computeMs + tail * wireMs, tail * (samplesMs + downMs));
  const behind = (1 - tail) * (upMs + downMs);
  const late = tail > 0 ? 0 : Math.max(0, samplesMs - computeMs);
  const linkMs = Math.max(computeMs, ahead) - computeMs + behind + late + rttMs;
  return {
    computeMs,
    linkMs,
    isLimitedByCoordinatorLink: sharedMsPerByte > Math.max(worker.upMsPerByte, worker.downMsPerByte),
  };
}
