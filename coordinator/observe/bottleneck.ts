import { codecLabel } from '../links/codecs.ts';
import {
  forecastStep,
  fullTransferMs,
  payloadShapeFor,
  withWholeGradient,
  shardComputeMs,
  type PayloadShape,
  type RunCosts,
  type WorkerCosts,
} from '../links/cost-model.ts';

/** Recent measurements of a worker. */
export interface MeasuredWorker extends WorkerCosts {
  readonly name: string;
  /** Samples of a recent shard. */
  readonly samples: number;
  readonly turnaroundMs: number;
}

/** Recent measurements of a run. */
export interface MeasuredRun {
  readonly stepMs: number;
  /** Time that a step waits for its samples to be read. @default 0 */
  readonly dataWaitMs?: number;
  readonly batchSize: number;
  readonly payloadShape: PayloadShape;
  readonly sampleBytes: number;
  readonly workers: readonly MeasuredWorker[];
  /** Part of the optimizer that needs the whole gradient, so that no bucket is applied early. @default none */
  readonly wholeGradientFor?: string | null;
}

/** Parts of a step's duration, for the worker that it waits for. */
export interface Bottleneck {
  readonly slowest: MeasuredWorker;
  readonly computeMs: number;
  /** Transfers that the computation did not hide. */
  readonly linkMs: number;
  /** Waiting for samples that are read from a disk. */
  readonly dataMs: number;
  /** Sums, optimizer, encoding and sending, and waiting for a busy machine. */
  readonly coordinatorMs: number;
}

/** Changes with a smaller speedup are not suggested. */
const MIN_SPEEDUP = 1.1;
/** A turnaround longer than a step by this factor was measured in other steps, and does not explain these. */
const MAX_TURNAROUND_RATIO = 1.1;

/** Parts of a step's duration, derived from measurements; null if the measurements contradict each other. */
export function findBottleneck(run: MeasuredRun): Bottleneck | null {
  const { stepMs, workers, dataWaitMs = 0 } = run;
  const [slowest] = workers.toSorted((a, b) => b.turnaroundMs - a.turnaroundMs);
  if (slowest === undefined || slowest.turnaroundMs > MAX_TURNAROUND_RATIO * stepMs) return null;
  const { samples, rttMs, codecs, turnaroundMs } = slowest;
  const computeMs = Math.min(stepMs, shardComputeMs(slowest, samples));
  const exposedMs = Math.max(0, Math.min(turnaroundMs, stepMs) - computeMs);
  const payload = payloadShapeFor(slowest.acceptsBuckets, effectiveShape(run));
  const linkMs = Math.min(exposedMs, fullTransferMs(codecs, payload, samples, slowest) + rttMs);
  const dataMs = Math.min(dataWaitMs, stepMs - computeMs - linkMs);
  return { slowest, computeMs, linkMs, dataMs, coordinatorMs: stepMs - computeMs - linkMs - dataMs };
}

/**
 * Describes in a few sentences what limits a run's steps, and which changes of workers and links would make them faster. A
 * larger batch is not suggested: it computes more samples a second, but usually trains a worse model.
 */
export function describeBottleneck(run: MeasuredRun): string | null {
  const bottleneck = findBottleneck(run);
  if (bottleneck === null) return null;
  const { slowest, computeMs, linkMs, dataMs, coordinatorMs } = bottleneck;
  const { name, samples, codecs } = slowest;
  const link = codecLabel({ codec: codecs.up, updateCodec: codecs.down });
  const parts = [
    { ms: computeMs, text: `${name} computes its ${samples} samples in ${formatMs(computeMs)}` },
    { ms: dataMs, text: `it waits ${formatMs(dataMs)} for its samples to be read` },
    { ms: linkMs, text: `the connection of ${name} (${link}) takes ${formatMs(linkMs)}` },
    {
      ms: coordinatorMs,
      text: `the coordinator takes ${formatMs(coordinatorMs)} for sums, optimizer and sending`,
    },
  ]
    .sort((a, b) => b.ms - a.ms)
    .filter(({ ms }, i) => i === 0 || ms >= 0.1 * run.stepMs)
    .map(({ text }) => text);
  return [
    `A step takes ${formatMs(run.stepMs)}: ${parts.join(', ')}.`,
    ...suggestChanges(run, bottleneck),
  ].join(' ');
}

const effectiveShape = ({ payloadShape, wholeGradientFor = null }: MeasuredRun): PayloadShape =>
  wholeGradientFor === null ? payloadShape : withWholeGradient(payloadShape);

/** Suggested changes, a sentence each, with what they need. */
function suggestChanges(run: MeasuredRun, { slowest, linkMs, dataMs, coordinatorMs }: Bottleneck): string[] {
  const { batchSize, sampleBytes, workers, wholeGradientFor = null } = run;
  const payloadShape = effectiveShape(run);
  // About half of the coordinator's work grows with the number of workers (docs/benchmarks.md).
  const base: RunCosts = {
    batchSize,
    payloadShape,
    sampleBytes,
    workers,
    coordinatorMsPerByte: 0,
    coordinatorMs: { perWorker: coordinatorMs / 2 / workers.length, perStep: coordinatorMs / 2 },
  };
  const speedupOf = (changed: readonly WorkerCosts[]): number =>
    forecastStep(base).stepMs / forecastStep({ ...base, workers: changed }).stepMs;
  const others = workers.filter((worker) => worker !== slowest);
  const nextMs = Math.max(0, ...others.map(({ turnaroundMs }) => turnaroundMs));
  // If several workers are about as slow, steps do not wait for this one alone.
  const isWaitedFor = others.length > 0 && slowest.turnaroundMs >= MIN_SPEEDUP * nextMs;
  const withoutSlowest = isWaitedFor ? speedupOf(repartition(batchSize, others)) : 0;
  const fasterLink = workers.map((worker) => (worker === slowest ? withDoubledRate(worker) : worker));
  const withFasterLink = linkMs === 0 ? 0 : speedupOf(fasterLink);
  const fastest = workers.reduce((a, b) => (b.perSampleMs < a.perSampleMs ? b : a));
  const withOneMore = speedupOf(repartition(batchSize, [...workers, fastest]));
  const suggestions: string[] = [];
  const withFasterData = run.stepMs / (run.stepMs - dataMs);
  if (withFasterData >= MIN_SPEEDUP) {
    suggestions.push(
      `If the data were read in time, from a faster disk or with smaller images, steps would be up to ${formatSpeedup(withFasterData)} faster.`,
    );
  }
  const withBuckets =
    forecastStep(base).stepMs / forecastStep({ ...base, payloadShape: run.payloadShape }).stepMs;
  if (wholeGradientFor !== null && withBuckets >= MIN_SPEEDUP) {
    suggestions.push(
      `Weights are sent only when the gradient is whole, which ${wholeGradientFor} needs; without it, steps would be up to ${formatSpeedup(withBuckets)} faster.`,
    );
  }
  if (withoutSlowest >= MIN_SPEEDUP) {
    suggestions.push(
      `Without worker ${slowest.name}, steps would be about ${formatSpeedup(withoutSlowest)} faster; the others would compute its ${slowest.samples} samples.`,
    );
  }
  if (withFasterLink >= MIN_SPEEDUP) {
    suggestions.push(
      `With a connection twice as fast for ${slowest.name}, steps would be about ${formatSpeedup(withFasterLink)} faster.`,
    );
  }
  suggestions.push(
    withOneMore < MIN_SPEEDUP
      ? 'One more worker would hardly make a difference.'
      : `With one more worker like ${fastest.name}, on a machine of its own, steps would be up to ${formatSpeedup(withOneMore)} faster.`,
  );
  return suggestions;
}

/** Splits the batch among other workers, in proportion to their current shards. */
function repartition(batchSize: number, workers: readonly MeasuredWorker[]): MeasuredWorker[] {
  const samples = workers.reduce((sum, worker) => sum + worker.samples, 0);
  return workers.map((worker) => ({ ...worker, samples: (worker.samples * batchSize) / samples }));
}

const withDoubledRate = (worker: MeasuredWorker): MeasuredWorker => ({
  ...worker,
  upMsPerByte: worker.upMsPerByte / 2,
  downMsPerByte: worker.downMsPerByte / 2,
});

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);
const formatSpeedup = (speedup: number): string => `${speedup.toFixed(1)}x`;
