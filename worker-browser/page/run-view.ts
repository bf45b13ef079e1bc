import { metricOf, type EpochRecord, type Notice, type WorkerRow } from '../../shared/protocol/messages.ts';
import { formatNotice } from '../../shared/protocol/format-notice.ts';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMetric,
  formatMs,
  formatPercent,
  formatRate,
} from './format.ts';
import { contributionOf, formatPart, type Contribution } from './contribution.ts';
import { shownMetric } from './curves.ts';
import { hasStarted, shownOwnId, type RunState } from './run-state.ts';
import type { WorkersOfRun } from './arrange-workers.ts';
import { NO_VALUE, findSlowest } from './worker-rows.ts';

/** A metric in the table of all. */
export interface MetricRow {
  readonly name: string;
  readonly title: string;
  /** Mean over the epoch so far. */
  readonly value: string;
  readonly validation: string;
  /** Whether it is plotted. */
  readonly isShown: boolean;
}

/** The run's part of the page, as text. */
export interface RunView {
  readonly headline: string;
  /** The run in one line of figures. */
  readonly summary: string;
  readonly link: RunState['link']['type'];
  /** Whether the coordinator has described its run. */
  readonly isKnown: boolean;
  /** Whether any figures of the run are known. */
  readonly hasProgress: boolean;
  /** Problem of the connection or end of the run; screen readers announce it. */
  readonly linkNote: string;
  readonly epoch: string;
  readonly eta: string;
  /** Done part of the epoch, 0 to 1. */
  readonly epochProgress: number;
  readonly loss: string;
  readonly accuracy: string;
  readonly valAccuracy: string;
  readonly speed: string;
  /** Line about drawings: the model reads them, or will. */
  readonly drawingHint: string;
  readonly workersTitle: string;
  readonly slowestWorker: string;
  /** A way to make the run faster. */
  readonly advice: string;
  /** Workers that do not take part, and why, one a line. */
  readonly notices: string;
  readonly table: WorkersOfRun;
  /** Throughput of this tab, as in its row. */
  readonly ownSpeed: string;
  readonly ownShare: string;
  readonly ownSamples: string;
  readonly ownPart: string;
  readonly ownTraffic: string;
  readonly lossLabel: string;
  readonly accuracyLabel: string;
  /** Name of the metric beside the loss, as a heading. */
  readonly metricTitle: string;
  readonly metricCaption: string;
  readonly valMetricTitle: string;
  /** All metrics; empty if there is only the one that is shown anyway. */
  readonly metricRows: readonly MetricRow[];
}

const READS = 'The current model reads your drawing live, in this browser.';
const READS_LATER = 'The model reads your drawing in this browser, from its first step on.';

/** @param chosen metric that a person has chosen to see; null for the first one */
export function createRunView(run: RunState, chosen: string | null = null): RunView {
  const { progress, job, stepsPerEpoch, epochs, link } = run;
  const ownId = shownOwnId(run);
  const workers = progress?.workers ?? [];
  const workerCount = progress?.workerCount ?? workers.length;
  const own = workers.find(({ id }) => id === ownId);
  const hidden = workerCount - workers.length;
  const loss = formatLoss(progress?.loss);
  const metric = shownMetric(progress?.metrics, chosen);
  const metricTitle = titleOf(metric);
  const accuracy = formatValue(metric, progress?.metrics[metric]);
  const slowest = findSlowest(run);
  const contribution = contributionOf(run);
  return {
    headline: headlineText(run),
    summary: summaryText(run, workerCount),
    link: link.type,
    isKnown: job !== null,
    hasProgress: progress !== null,
    linkNote: linkNoteText(run),
    epoch: epochText(run),
    eta: etaText(run, workerCount),
    epochProgress: progress === null ? 0 : Math.min(1, progress.step / stepsPerEpoch),
    loss,
    accuracy,
    valAccuracy: formatValue(metric, metricOf(epochs.at(-1), `val_${metric}`)),
    speed: progress === null || !hasStarted(run) ? NO_VALUE : formatRate(progress.samplesPerSecond),
    drawingHint: hasStarted(run) ? READS : READS_LATER,
    workersTitle: progress === null ? 'Workers' : workerCountText(workerCount),
    slowestWorker: slowestWorkerText(slowest, ownId),
    advice: progress?.advice ?? '',
    notices: noticesText(progress?.notices ?? []),
    table: { workers, hidden, ownId, slowestId: slowest?.id },
    ownSpeed: own === undefined ? NO_VALUE : formatRate(own.samplesPerSecond),
    ownShare: own === undefined ? NO_VALUE : formatPercent(own.share),
    ownSamples: contribution.samples === null ? NO_VALUE : formatCount(contribution.samples),
    ownPart: ownPartText(contribution),
    ownTraffic: ownTrafficText(own, workers, run.ownId === null ? 0 : hidden),
    lossLabel: plotLabel('Loss', loss, job !== null),
    accuracyLabel: plotLabel(metricTitle, accuracy, job !== null),
    metricTitle,
    metricCaption: metricTitle,
    valMetricTitle: `Validation ${nameOf(metric)}`,
    metricRows: metricRows(progress?.metrics ?? {}, epochs.at(-1), metric),
  };
}

function summaryText({ progress, epochs, link }: RunState, workerCount: number): string {
  if (progress === null) return '';
  const validation = epochs.at(-1);
  const metric = shownMetric(validation === undefined ? undefined : metricsOf(validation));
  const value = formatValue(metric, metricOf(validation, `val_${metric}`));
  return [
    link.type === 'over' ? '' : workerCountText(workerCount),
    link.type === 'over' || progress.samplesPerSecond === 0
      ? ''
      : `${formatRate(progress.samplesPerSecond)} samples a second`,
    value === NO_VALUE ? '' : `${value} validation ${nameOf(metric)}`,
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

function headlineText({ job, link }: RunState): string {
  if (job === null) return 'Training together';
  return `${link.type === 'over' ? 'Trained' : 'Training'} together on ${job.data.name}`;
}

function metricRows(
  metrics: Readonly<Record<string, number>>,
  last: EpochRecord | undefined,
  shown: string,
): MetricRow[] {
  const entries = Object.entries(metrics);
  if (entries.length < 2) return [];
  return entries.map(([name, value]) => ({
    name,
    title: titleOf(name),
    value: formatValue(name, value),
    validation: formatValue(name, metricOf(last, `val_${name}`)),
    isShown: name === shown,
  }));
}

/** @param hidden number of workers without a row */
function ownTrafficText(own: WorkerRow | undefined, workers: readonly WorkerRow[], hidden: number): string {
  if (own !== undefined) return `Sent ${formatBytes(own.bytesUp)}, received ${formatBytes(own.bytesDown)}.`;
  if (hidden === 0) return '';
  return `No figures of this tab: the page lists ${formatCount(workers.length)} of ${formatCount(workers.length + hidden)} workers.`;
}

/** The words behind the number of samples that this tab has computed. */
function ownPartText({ samples, part }: Contribution): string {
  if (samples === null) return '';
  const noun = samples === 1 ? ' sample' : ' samples';
  return part === null ? noun : `${noun}, ${formatPart(part)} of all`;
}

function workerCountText(count: number): string {
  if (count === 0) return 'No workers connected';
  return count === 1 ? '1 worker' : `${formatCount(count)} workers`;
}

const formatLoss = (value: number | null | undefined): string =>
  value == null ? NO_VALUE : value.toFixed(value < 0.1 ? 4 : 3);
const formatValue = (metric: string, value: number | null | undefined): string =>
  value == null ? NO_VALUE : formatMetric(metric, value);
/** Metrics whose names are abbreviations. */
const ABBREVIATIONS: ReadonlySet<string> = new Set(['auc', 'mae', 'mape', 'mse', 'msle']);

/** A metric's name within a sentence: `accuracy`, `MAE`. */
const nameOf = (metric: string): string =>
  metric
    .split('_')
    .map((word) => (ABBREVIATIONS.has(word) ? word.toUpperCase() : word))
    .join(' ');

/** The same as a heading: `Accuracy`. */
const titleOf = (metric: string): string => {
  const name = nameOf(metric);
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
};

function plotLabel(name: string, value: string, isKnown: boolean): string {
  return isKnown && value !== NO_VALUE ? `${name} curve, now at ${value}` : `${name} curve, still empty`;
}

function epochText({ progress, job, stepsPerEpoch, epochs }: RunState): string {
  if (job === null) return 'Waiting for the run';
  if (progress === null || progress.epoch === 0) {
    return epochs.length === 0
      ? 'Not started yet'
      : `${formatCount(epochs.length)} of ${formatCount(job.epochs)} epochs done`;
  }
  const { epoch, step } = progress;
  return `Epoch ${formatCount(epoch)} of ${formatCount(job.epochs)} · step ${formatCount(step)} of ${formatCount(stepsPerEpoch)}`;
}

function etaText(run: RunState, workerCount: number): string {
  const { progress, stepsPerEpoch, epochs, link } = run;
  if (link.type === 'live' && progress !== null && workerCount === 0 && !hasStarted(run))
    return 'The run begins with the first worker.';
  if (progress?.etaSeconds == null || link.type === 'over') return '';
  // The epoch is evaluated, so the next one is about to begin.
  if (epochs.some(({ epoch }) => epoch === progress.epoch)) return '';
  if (progress.step >= stepsPerEpoch) return 'evaluating on the test data';
  return `about ${formatDuration(progress.etaSeconds)} left of this epoch`;
}

function linkNoteText({ link, restarted, job, epochs }: RunState): string {
  switch (link.type) {
    case 'connecting':
      return 'Loading the figures of the run.';
    case 'lost':
      // Without a countdown, which screen readers would announce every second.
      return job === null
        ? `No figures yet: ${link.reason}.`
        : `Connection lost (${link.reason}). These are the last figures; they update when it is back.`;
    case 'locked':
      // The tab's card asks for the token.
      return '';
    case 'over': {
      if (!link.awaitsNextRun) return `No more figures: ${link.reason}`;
      return `${endText(link.reason, epochs.at(-1), job?.epochs)} A new run will show up here.`;
    }
    case 'live':
      return restarted ? 'The coordinator has started another run.' : '';
  }
}

/** How the run has ended, with the validation of its last epoch. */
function endText(reason: string, last: EpochRecord | undefined, epochs: number | undefined): string {
  if (last === undefined) return reason;
  const metric = shownMetric(metricsOf(last));
  const value = formatValue(metric, metricOf(last, `val_${metric}`));
  const name = nameOf(metric);
  if (last.epoch === epochs) return `Finished: validation ${name} ${value}.`;
  return `${reason} Validation ${name} ${value}.`.trim();
}

/** Metrics of a record's validation by name. */
const metricsOf = (record: EpochRecord): Record<string, number> =>
  Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) =>
      name.startsWith('val_') && name !== 'val_loss' && typeof value === 'number'
        ? [[name.slice('val_'.length), value]]
        : [],
    ),
  );

/** Name and times of the worker that the others wait for. */
function slowestWorkerText(worker: WorkerRow | undefined, ownId: string | null): string {
  if (worker === undefined) return '';
  const { computeMs, turnaroundMs, name, id } = worker;
  return `Longest step: ${id === ownId ? 'this tab' : name}, ${formatMs(turnaroundMs)} (${formatMs(computeMs)} compute). The others wait for it.`;
}

/**
 * Why workers do not take part, a line each. Refusals are only counted: their reasons name options of the command line,
 * which visitors of the page do not have.
 */
function noticesText(notices: readonly Notice[]): string {
  const refused = notices.filter(({ what }) => what === 'refused').reduce((sum, { times }) => sum + times, 0);
  const lines = notices.filter(({ what }) => what !== 'refused').map(formatNotice);
  if (refused === 1) lines.unshift('One connection was refused.');
  else if (refused > 1) lines.unshift(`${formatCount(refused)} connections were refused.`);
  return lines.join('\n');
}
