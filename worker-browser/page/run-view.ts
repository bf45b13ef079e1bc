import type { Notice, WorkerRow } from '../../shared/protocol/messages.ts';
import { formatNotice } from '../../shared/protocol/format-notice.ts';
import { formatBytes, formatCount, formatDuration, formatMs, formatPercent, formatRate } from './format.ts';
import type { RunState } from './run-state.ts';
import { NO_VALUE, createRow, findSlowest, sortWorkers, type RowView } from './worker-rows.ts';

/** More rows than anybody reads cost time at every message. */
export const MAX_ROWS = 60;

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
  readonly workersTitle: string;
  readonly slowestWorker: string;
  /** What would help. */
  readonly advice: string;
  /** Who does not take part, and why; a line each. */
  readonly notices: string;
  readonly rows: readonly RowView[];
  readonly hiddenRows: string;
  /** What this tab has done, in the figures of its row. */
  readonly ownSpeed: string;
  readonly ownShare: string;
  readonly ownSamples: string;
  readonly ownContribution: string;
  readonly lossLabel: string;
  readonly accuracyLabel: string;
}

export function createRunView(run: RunState): RunView {
  const { progress, job, steps, epochs, ownId: own, ownRow } = run;
  const workers = progress?.workers ?? [];
  const mine = workers.find(({ id }) => id === own);
  const total = workers.reduce((sum, { samples }) => sum + samples, 0);
  const [loss, accuracy] = [formatLoss(progress?.loss), formatAccuracy(progress?.accuracy)];
  const slowest = findSlowest(run)?.id;
  const rows = sortWorkers(workers, own, slowest);
  return {
    headline: job === null ? 'Training together' : `Training together on ${job.data.name}`,
    link: run.link.type,
    isKnown: job !== null,
    linkNote: linkNoteText(run),
    epoch: epochText(run),
    eta: etaText(run),
    epochProgress: progress === null ? 0 : Math.min(1, progress.step / steps),
    loss,
    accuracy,
    valAccuracy: formatAccuracy(epochs.at(-1)?.val_accuracy),
    speed: progress === null ? NO_VALUE : formatRate(progress.samplesPerSecond),
    workersTitle: progress === null ? 'Workers' : workerCountText(workers.length),
    slowestWorker: slowestWorkerText(run, own),
    advice: progress?.advice ?? '',
    notices: noticesText(progress?.notices ?? []),
    rows: rows.slice(0, MAX_ROWS).map((worker) => createRow(worker, own, slowest)),
    hiddenRows: rows.length > MAX_ROWS ? `and ${formatCount(rows.length - MAX_ROWS)} more` : '',
    ownSpeed: mine === undefined ? NO_VALUE : formatRate(mine.samplesPerSecond),
    ownShare: mine === undefined ? NO_VALUE : formatPercent(mine.share),
    ownSamples: ownRow === null ? NO_VALUE : formatCount(ownRow.samples),
    ownContribution: ownContributionText(mine, total),
    lossLabel: plotLabel('Loss', loss, job !== null),
    accuracyLabel: plotLabel('Accuracy', accuracy, job !== null),
  };
}

function ownContributionText(mine: WorkerRow | undefined, total: number): string {
  if (mine === undefined || total === 0) return '';
  return `${formatPercent(mine.samples / total)} of the samples of all workers here. Sent ${formatBytes(mine.bytesUp)}, received ${formatBytes(mine.bytesDown)}.`;
}

function workerCountText(count: number): string {
  if (count === 0) return 'No workers connected';
  return count === 1 ? '1 worker' : `${formatCount(count)} workers`;
}

const formatLoss = (value: number | null | undefined): string =>
  value == null ? NO_VALUE : value.toFixed(value < 0.1 ? 4 : 3);
const formatAccuracy = (value: number | null | undefined): string =>
  value == null ? NO_VALUE : formatPercent(value, 1);

function plotLabel(name: string, now: string, known: boolean): string {
  return known && now !== NO_VALUE ? `${name} curve, now at ${now}` : `${name} curve, still empty`;
}

function epochText({ progress, job, steps, epochs }: RunState): string {
  if (job === null) return 'Waiting for the run';
  if (progress === null || progress.epoch === 0) {
    return epochs.length === 0 ? 'Not started yet' : `${epochs.length} of ${job.epochs} epochs are done`;
  }
  const { epoch, step } = progress;
  return `Epoch ${epoch} of ${job.epochs} · step ${formatCount(step)} of ${formatCount(steps)}`;
}

function etaText({ progress, steps, epochs, link }: RunState): string {
  if (progress?.etaSeconds == null || link.type === 'over') return '';
  // Measured: the next epoch is about to begin.
  if (epochs.some(({ epoch }) => epoch === progress.epoch)) return '';
  if (progress.step >= steps) return 'measuring on the test data';
  return `about ${formatDuration(progress.etaSeconds)} left of this epoch`;
}

function linkNoteText({ link, restarted, job, epochs }: RunState): string {
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
      const score = last === undefined ? '' : `alidation accuracy ${formatPercent(last.val_accuracy, 1)}.`;
      const end = isWhole ? `Finished: v${score}` : [link.reason, score && `V${score}`].join(' ').trim();
      return `${end} A new run will show up here.`;
    }
    case 'live':
      return restarted ? 'The coordinator was started anew: this is another run than before.' : '';
  }
}

/** Which worker is slowest, and its times. */
function slowestWorkerText(run: RunState, own: string | null): string {
  const worker = findSlowest(run);
  if (worker === undefined) return '';
  const { computeMs, turnaroundMs, name, id } = worker;
  return `Slowest worker: ${id === own ? 'this tab' : name}, ${formatMs(turnaroundMs)} per step (${formatMs(computeMs)} compute).`;
}

/** Why workers do not take part, a line each. What refused ones are told is for them, not for visitors. */
function noticesText(notices: readonly Notice[]): string {
  const refused = notices.filter(({ what }) => what === 'refused').reduce((sum, { times }) => sum + times, 0);
  const others = notices.filter(({ what }) => what !== 'refused').map(formatNotice);
  return [
    ...(refused === 0
      ? []
      : [
          refused === 1 ? 'One connection was refused.' : `${formatCount(refused)} connections were refused.`,
        ]),
    ...others,
  ].join('\n');
}
