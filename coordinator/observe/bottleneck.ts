import { codecLabel } from '../links/codecs.ts';
import {
  forecastStep,
  fullTransferMs,
  payloadShapeFor,
  shardComputeMs,
  type PayloadShape,
  type RunCosts,
  type WorkerCosts,
} from '../links/cost-model.ts';

/** A worker as it has done lately. */
export interface MeasuredWorker extends WorkerCosts {
  readonly name: string;
  /** Of a recent shard. */
  readonly samples: number;
  readonly turnaroundMs: number;
}

/** A run as it has gone lately. */
export interface MeasuredRun {
  readonly stepMs: number;
  readonly batchSize: number;
  readonly payloadShape: PayloadShape;
  readonly sampleBytes: number;
  readonly workers: readonly MeasuredWorker[];
}

/** What a step's time goes into; of the worker that it waits for. */
export interface Bottleneck {
  readonly slowest: MeasuredWorker;
  readonly computeMs: number;
  /** Transfers that were not hidden behind the computation. */
  readonly linkMs: number;
  /** Sums, optimizer, encoding and sending; and waiting for a turn on a machine that is busy. */
  readonly coordinatorMs: number;
}

/** A change that makes steps less than this many times faster is not worth a sentence. */
const MIN_SPEEDUP = 1.1;
/** A worker that takes this much longer than a step was measured in other steps: its figures say nothing of these. */
const MAX_TURNAROUND_RATIO = 1.1;

/** Where the time of a step goes, by what was measured; null where the figures contradict each other. */
export function findBottleneck({ stepMs, payloadShape, workers }: MeasuredRun): Bottleneck | null {
  const [slowest] = workers.toSorted((a, b) => b.turnaroundMs - a.turnaroundMs);
  if (slowest === undefined || slowest.turnaroundMs > MAX_TURNAROUND_RATIO * stepMs) return null;
  const { samples, rttMs, codecs, turnaroundMs } = slowest;
  const computeMs = Math.min(stepMs, shardComputeMs(slowest, samples));
  const exposedMs = Math.max(0, Math.min(turnaroundMs, stepMs) - computeMs);
  const payload = payloadShapeFor(slowest.acceptsBuckets, payloadShape);
  const linkMs = Math.min(exposedMs, fullTransferMs(codecs, payload, samples, slowest) + rttMs);
  return { slowest, computeMs, linkMs, coordinatorMs: stepMs - computeMs - linkMs };
}

/**
 * What limits a run's steps, and which changes of workers and links would make them faster: a few sentences. The batch size is
 * no such change: a larger one makes more samples a second and, as a rule, a worse model.
 */
export function describeBottleneck(run: MeasuredRun): string | null {
  const limits = findBottleneck(run);
  if (limits === null) return null;
  const { slowest, computeMs, linkMs, coordinatorMs } = limits;
  const { name, samples, codecs } = slowest;
  const link = codecLabel({ codec: codecs.up, updateCodec: codecs.down });
  const spent = [
    { ms: computeMs, text: `${name} computes its ${samples} samples in ${formatMs(computeMs)}` },
    { ms: linkMs, text: `the connection of ${name} (${link}) takes ${formatMs(linkMs)}` },
    {
      ms: coordinatorMs,
      text: `sums, optimizer and sending take the coordinator ${formatMs(coordinatorMs)}`,
    },
  ]
    .sort((a, b) => b.ms - a.ms)
    .filter(({ ms }, i) => i === 0 || ms >= 0.1 * run.stepMs)
    .map(({ text }) => text);
  return [`A step takes ${formatMs(run.stepMs)}: ${spent.join(', ')}.`, ...suggestChanges(run, limits)].join(
    ' ',
  );
}

/** Sentences; what it would cost stands in each. */
function suggestChanges(run: MeasuredRun, limits: Bottleneck): string[] {
  const { slowest, linkMs, coordinatorMs } = limits;
  const { batchSize, payloadShape, sampleBytes, workers } = run;
  // Half of what the coordinator does is for each worker, by what was measured for docs/benchmarks.md.
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
  const rest = workers.filter((worker) => worker !== slowest);
  const nextMs = Math.max(0, ...rest.map(({ turnaroundMs }) => turnaroundMs));
  // Where several are as slow, it is not this one that steps wait for.
  const isWaitedFor = rest.length > 0 && slowest.turnaroundMs >= MIN_SPEEDUP * nextMs;
  const without = isWaitedFor ? speedupOf(repartition(batchSize, rest)) : 0;
  const fasterLink = workers.map((worker) => (worker === slowest ? withDoubledRate(worker) : worker));
  const withFasterLink = linkMs === 0 ? 0 : speedupOf(fasterLink);
  const fastest = workers.reduce((a, b) => (b.perSampleMs < a.perSampleMs ? b : a));
  const withOneMore = speedupOf(repartition(batchSize, [...workers, fastest]));
  return [
    ...(without < MIN_SPEEDUP
      ? []
      : [
          `Without worker ${slowest.name}, steps would be about ${formatSpeedup(without)} faster; the others would compute its ${slowest.samples} samples.`,
        ]),
    ...(withFasterLink < MIN_SPEEDUP
      ? []
      : [
          `With a connection twice as fast for ${slowest.name}, steps would be about ${formatSpeedup(withFasterLink)} faster.`,
        ]),
    withOneMore < MIN_SPEEDUP
      ? 'One more worker would make hardly any difference.'
      : `With one more worker like ${fastest.name}, on a machine of its own, steps would be up to ${formatSpeedup(withOneMore)} faster.`,
  ];
}

/** The batch once more among other workers, each with the same part of it as before beside the others. */
function repartition(batch: number, workers: readonly MeasuredWorker[]): MeasuredWorker[] {
  const samples = workers.reduce((sum, worker) => sum + worker.samples, 0);
  return workers.map((worker) => ({ ...worker, samples: (worker.samples * batch) / samples }));
}

const withDoubledRate = (worker: MeasuredWorker): MeasuredWorker => ({
  ...worker,
  upMsPerByte: worker.upMsPerByte / 2,
  downMsPerByte: worker.downMsPerByte / 2,
});

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);
const formatSpeedup = (speedup: number): string => `${speedup.toFixed(1)}x`;
