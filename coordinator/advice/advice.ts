import { passage, vectorsFor, type Vectors } from '../links/choose-codecs.ts';
import { forecastStep, type ModelRun, type ModelWorker } from './step-model.ts';

/** A worker as it has done lately. */
export interface MeasuredWorker extends ModelWorker {
  readonly name: string;
  /** Of its last shard. */
  readonly samples: number;
  readonly turnaroundMs: number;
}

/** A run as it has gone lately. */
export interface MeasuredRun {
  readonly stepMs: number;
  readonly batch: number;
  readonly vectors: Vectors;
  readonly sampleBytes: number;
  readonly workers: readonly MeasuredWorker[];
}

/** What a step's time goes into; of the worker that it waits for. */
export interface Limits {
  readonly slowest: MeasuredWorker;
  readonly computeMs: number;
  /** Transfers that were not hidden behind the computation. */
  readonly linkMs: number;
  /** Sums, optimizer, encoding and sending; and waiting for a turn on a machine that is busy. */
  readonly coordinatorMs: number;
}

/** What brings less is not worth a sentence. */
const WORTH_SAYING = 1.1;
const MOST_IDEAS = 2;

/** Where the time of a step goes, by what was measured. */
export function limitsOf({ stepMs, vectors, workers }: MeasuredRun): Limits | null {
  const [slowest] = workers.toSorted((a, b) => b.turnaroundMs - a.turnaroundMs);
  if (slowest === undefined) return null;
  const { perSampleMs, fixedMs, samples, rttMs, codecs, turnaroundMs } = slowest;
  const computeMs = Math.min(stepMs, perSampleMs * samples + fixedMs);
  const exposedMs = Math.max(0, Math.min(turnaroundMs, stepMs) - computeMs);
  const linkMs = Math.min(
    exposedMs,
    passage(codecs, vectorsFor(slowest, vectors), samples, slowest).wireMs + rttMs,
  );
  return { slowest, computeMs, linkMs, coordinatorMs: stepMs - computeMs - linkMs };
}

/**
 * What limits a run's steps, and what would help by how much: a sentence or two. The measured step is the base; the model
 * says only by which factor a change would make it shorter.
 */
export function adviceFor(run: MeasuredRun): string | null {
  const limits = limitsOf(run);
  if (limits === null) return null;
  const { slowest, computeMs, linkMs, coordinatorMs } = limits;
  const parts = [
    { ms: computeMs, what: `${slowest.name} computing ${slowest.samples} samples` },
    {
      ms: linkMs,
      what: `the link of ${slowest.name} (${slowest.codecs.up} up, ${slowest.codecs.down} down)`,
    },
    { ms: coordinatorMs, what: 'the coordinator (sums, optimizer, sending)' },
  ].sort((a, b) => b.ms - a.ms);
  const spent = parts
    .filter(({ ms }, i) => i === 0 || ms >= 0.1 * run.stepMs)
    .map(({ ms, what }) => `${inMs(ms)} for ${what}`);
  const { oneMore, others } = ideasFor(run, limits);
  const ideas = others
    .filter(({ gain }) => gain >= WORTH_SAYING)
    .sort((a, b) => b.gain - a.gain)
    .slice(0, MOST_IDEAS)
    .map(({ what, gain }) => `${what} (${gain.toFixed(1)} x the samples a second)`);
  const sentences = [
    `A step takes ${inMs(run.stepMs)}: ${spent.join(', ')}.`,
    ...(ideas.length === 0 ? [] : [`What would help: ${ideas.join(', or ')}.`]),
    oneMore.gain < WORTH_SAYING
      ? `${oneMore.what} would bring next to nothing.`
      : `${oneMore.what} would bring ${oneMore.gain.toFixed(1)} x the samples a second.`,
  ];
  return sentences.join(' ');
}

interface Idea {
  readonly what: string;
  /** Times as many samples a second. */
  readonly gain: number;
}

interface Ideas {
  /** Always said: machines are what a person has to find. */
  readonly oneMore: Idea;
  readonly others: readonly Idea[];
}

function ideasFor(run: MeasuredRun, { slowest, coordinatorMs, linkMs }: Limits): Ideas {
  const { batch, vectors, sampleBytes, workers } = run;
  const count = workers.length;
  // Half of what the coordinator does is for each worker, by what was measured for docs/benchmarks.md.
  const base: ModelRun = {
    ...{ batch, vectors, sampleBytes, workers, coordinatorMsPerByte: 0 },
    coordinatorMs: { perWorker: coordinatorMs / 2 / count, perStep: coordinatorMs / 2 },
  };
  const perSecond = (model: ModelRun): number => model.batch / forecastStep(model).stepMs;
  const now = perSecond(base);
  const idea = (what: string, changes: Partial<ModelRun>): Idea => ({
    what,
    gain: perSecond({ ...base, ...changes }) / now,
  });
  const fastest = workers.reduce((a, b) => (b.perSampleMs < a.perSampleMs ? b : a));
  const rest = workers.filter((worker) => worker !== slowest);
  const oneMore = idea(`One more worker like ${fastest.name}`, { workers: [...workers, fastest] });
  const others = [
    idea(`--batch-size ${8 * batch}`, { batch: 8 * batch }),
    ...(rest.length === 0 ? [] : [idea(`no ${slowest.name}`, { workers: rest })]),
    ...(linkMs === 0
      ? []
      : [
          idea(`a link of twice the rate for ${slowest.name}`, {
            workers: workers.map((worker) => (worker === slowest ? withTwiceTheRate(worker) : worker)),
          }),
        ]),
  ];
  return { oneMore, others };
}

const withTwiceTheRate = (worker: MeasuredWorker): MeasuredWorker => ({
  ...worker,
  upMsPerByte: worker.upMsPerByte / 2,
  downMsPerByte: worker.downMsPerByte / 2,
});

const inMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);
