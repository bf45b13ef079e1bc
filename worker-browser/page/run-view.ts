import type { Notice, WorkerRow } from '../../shared/protocol/messages.ts';
import { noticeText } from '../../shared/protocol/notice-text.ts';
import { bytesText, countText, durationText, msText, percentText, rateText } from './figures.ts';
import type { RunState } from './run-state.ts';

const NOTHING_YET = '–';
/** More rows than anybody reads cost time at every message. */
export const MOST_ROWS = 60;

/** Everything that the page shows of the run, as text. */
export interface RunView {
  readonly headline: string;
  readonly link: RunState['link']['type'];
  /** Whether a run has been heard of. */
  readonly isKnown: boolean;
  /** Of the connection, if there is something to say; spoken. */
  readonly linkNote: string;
  readonly epoch: string;
  readonly eta: string;
  /** Of the epoch, 0 to 1. */
  readonly epochProgress: number;
  readonly loss: string;
  readonly accuracy: string;
  readonly valAccuracy: string;
  readonly speed: string;
  readonly peopleTitle: string;
  readonly holdUp: string;
  /** What would help. */
  readonly advice: string;
  /** Who does not take part, and why; a line each. */
  readonly notices: string;
  readonly rows: readonly RowView[];
  readonly more: string;
  /** What this tab has done, in the figures of its row. */
  readonly ownSpeed: string;
  readonly ownShare: string;
  readonly ownSamples: string;
  readonly ownPart: string;
  readonly lossLabel: string;
  readonly accuracyLabel: string;
}

export interface RowView {
  readonly id: string;
  readonly name: string;
  readonly own: boolean;
  /** Whether the steps wait for it. */
  readonly slowest: boolean;
  /** Whether it has no part, because the steps would wait for it. */
  readonly reserve: boolean;
  readonly engine: string;
  readonly speed: string;
  readonly share: string;
  /** 0 to 1. */
  readonly shareOfBatch: number;
  readonly shard: string;
  readonly link: string;
  readonly rtt: string;
  readonly samples: string;
}

export function runViewOf(run: RunState): RunView {
  const { progress, job, steps, epochs, ownId: own, ownRow } = run;
  const workers = progress?.workers ?? [];
  const mine = workers.find(({ id }) => id === own);
  const total = workers.reduce((sum, { samples }) => sum + samples, 0);
  const [loss, accuracy] = [figure(progress?.loss), percentOf(progress?.accuracy)];
  const slowest = slowestOf(run)?.id;
  const rows = sorted(workers, own, slowest);
  return {
    headline: job === null ? 'Training together' : `Training together on ${job.data.name}`,
    link: run.link.type,
    isKnown: job !== null,
    linkNote: linkNoteOf(run),
    epoch: epochText(run),
    eta: etaText(run),
    epochProgress: progress === null ? 0 : Math.min(1, progress.step / steps),
    loss,
    accuracy,
    valAccuracy: percentOf(epochs.at(-1)?.val_accuracy),
    speed: progress === null ? NOTHING_YET : rateText(progress.samplesPerSecond),
    peopleTitle: progress === null ? 'Workers' : whoText(workers.length),
    holdUp: holdUpText(run, own),
    advice: progress?.advice ?? '',
    notices: noticesText(progress?.notices ?? []),
    rows: rows.slice(0, MOST_ROWS).map((worker) => rowOf(worker, own, slowest)),
    more: rows.length > MOST_ROWS ? `and ${countText(rows.length - MOST_ROWS)} more` : '',
    ownSpeed: mine === undefined ? NOTHING_YET : rateText(mine.samplesPerSecond),
    ownShare: mine === undefined ? NOTHING_YET : percentText(mine.share),
    ownSamples: ownRow === null ? NOTHING_YET : countText(ownRow.samples),
    ownPart: ownPartText(mine, total),
    lossLabel: plotLabel('Loss', loss, job !== null),
    accuracyLabel: plotLabel('Accuracy', accuracy, job !== null),
  };
}

function ownPartText(mine: WorkerRow | undefined, total: number): string {
  if (mine === undefined || total === 0) return '';
  return `${percentText(mine.samples / total)} of the samples of all workers here. Sent ${bytesText(mine.bytesUp)}, received ${bytesText(mine.bytesDown)}.`;
}

function whoText(count: number): string {
  if (count === 0) return 'No workers connected';
  return count === 1 ? '1 worker' : `${countText(count)} workers`;
}

const figure = (value: number | null | undefined): string =>
  value == null ? NOTHING_YET : value.toFixed(value < 0.1 ? 4 : 3);
const percentOf = (value: number | null | undefined): string =>
  value == null ? NOTHING_YET : percentText(value, 1);

function plotLabel(name: string, now: string, known: boolean): string {
  return known && now !== NOTHING_YET ? `${name} curve, now at ${now}` : `${name} curve, still empty`;
}

function epochText({ progress, job, steps, epochs }: RunState): string {
  if (job === null) return 'Waiting for the run';
  if (progress === null || progress.epoch === 0) {
    return epochs.length === 0 ? 'Not started yet' : `${epochs.length} of ${job.epochs} epochs are done`;
  }
  const { epoch, step } = progress;
  return `Epoch ${epoch} of ${job.epochs} · step ${countText(step)} of ${countText(steps)}`;
}

function etaText({ progress, steps, epochs, link }: RunState): string {
  if (progress?.etaSeconds == null || link.type === 'over') return '';
  // Measured: the next epoch is about to begin.
  if (epochs.some(({ epoch }) => epoch === progress.epoch)) return '';
  if (progress.step >= steps) return 'measuring on the test data';
  return `about ${durationText(progress.etaSeconds)} left of this epoch`;
}

function linkNoteOf({ link, restarted, job, epochs }: RunState): string {
  switch (link.type) {
    case 'connecting':
      return 'Asking the coordinator for the figures.';
    case 'lost':
      // No countdown: it would be read out every second.
      return job === null
        ? `No figures yet: ${link.reason}.`
        : `Connection lost (${link.reason}). These are the last figures; they update when it is back.`;
    case 'locked':
      // The field for the token stands beside.
      return '';
    case 'over': {
      if (!link.looking) return `No more figures: ${link.reason}`;
      const last = epochs.at(-1);
      const isWhole = last !== undefined && last.epoch === job?.epochs;
      const score = last === undefined ? '' : `alidation accuracy ${percentText(last.val_accuracy, 1)}.`;
      const end = isWhole ? `Finished: v${score}` : [link.reason, score && `V${score}`].join(' ').trim();
      return `${end} A new run will show up here.`;
    }
    case 'live':
      return restarted ? 'The coordinator was started anew: this is another run than before.' : '';
  }
}

/** The worker that the steps wait for longest; undefined where there is no other to compare it with. */
function slowestOf({ progress }: RunState): WorkerRow | undefined {
  const active = progress?.workers.filter(({ reserve }) => reserve !== true) ?? [];
  return active.length < 2 ? undefined : active.find(({ id }) => id === progress?.slowest?.id);
}

/** Which worker is slowest, and its times. */
function holdUpText(run: RunState, own: string | null): string {
  const worker = slowestOf(run);
  if (worker === undefined) return '';
  const { computeMs, turnaroundMs, name, id } = worker;
  return `Slowest worker: ${id === own ? 'this tab' : name}, ${msText(turnaroundMs)} per step (${msText(computeMs)} compute).`;
}

/** Why workers do not take part, a line each. What refused ones are told is for them, not for visitors. */
function noticesText(notices: readonly Notice[]): string {
  const refused = notices.filter(({ what }) => what === 'refused').reduce((sum, { times }) => sum + times, 0);
  const others = notices.filter(({ what }) => what !== 'refused').map(noticeText);
  return [
    ...(refused === 0
      ? []
      : [refused === 1 ? 'One connection was refused.' : `${countText(refused)} connections were refused.`]),
    ...others,
  ].join('\n');
}

/** This tab first, then whom all wait for, then by what was contributed. */
function sorted(workers: readonly WorkerRow[], own: string | null, slowest: string | undefined): WorkerRow[] {
  const rank = ({ id }: WorkerRow): number => (id === own ? 0 : id === slowest ? 1 : 2);
  return [...workers].sort((a, b) => rank(a) - rank(b) || b.samples - a.samples);
}

const linkText = ({ bytesUp, bytesDown }: WorkerRow): string =>
  `${bytesText(bytesUp)}, ${bytesText(bytesDown)}`;

/** How vectors travel, where that is not as they are. */
const fewerBytes = ({ codecs }: WorkerRow): string[] =>
  codecs === undefined || codecs === 'float32/float32' ? [] : [codecs];

function rowOf(worker: WorkerRow, own: string | null, slowest: string | undefined): RowView {
  const { id, name, backend, device, share, samples, samplesPerSecond, computeMs, turnaroundMs, rttMs } =
    worker;
  return {
    id,
    name,
    own: id === own,
    slowest: id === slowest,
    reserve: worker.reserve === true,
    engine: `${engineName(backend)} on ${device}`,
    speed: rateText(samplesPerSecond),
    share: percentText(share),
    shareOfBatch: share,
    shard: turnaroundMs === 0 ? NOTHING_YET : `${msText(computeMs)} of ${msText(turnaroundMs)}`,
    link: [linkText(worker), ...fewerBytes(worker)].join(', '),
    rtt: rttMs === null ? NOTHING_YET : msText(rttMs),
    samples: countText(samples),
  };
}

const ENGINE_NAMES: Readonly<Record<string, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
  tensorflow: 'TensorFlow',
};

/** The name that people know. */
export const engineName = (backend: string): string => ENGINE_NAMES[backend] ?? backend;
