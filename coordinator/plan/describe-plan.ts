import { CODEC_LEVELS } from '../links/policy.ts';
import { LINK_CODECS, FLOAT32_LINK } from '../links/codecs.ts';
import { planWithBestCodecs, planRun, type PlannedRun, type PlanSettings } from './plan.ts';

const MEASURED_BATCH = 128;
const LARGE_BATCH = 1024;
/** MNIST, see docs/decisions/0023-larger-batches.md. */
const LARGE_BATCH_COST =
  'which learns less in an epoch: MNIST, .953 instead of .973 after one, .977 instead of .982 after two';

const HEADINGS = ['workers', 'codec', 'batch', 'step', 'samples/s', 'gain', 'compute', 'link', 'coordinator'];

/** Describes the expected throughput of a run in a table, its bottleneck, and changes that would help. */
export function describePlan(settings: PlanSettings, codec: string): string[] {
  const plan = (changes: Partial<PlanSettings>): PlannedRun => {
    const changed = { ...settings, ...changes };
    return codec === 'auto'
      ? planWithBestCodecs(changed)
      : planRun(changed, LINK_CODECS[codec] ?? FLOAT32_LINK);
  };
  const baseline = plan({ workers: 1 });
  const chosen = plan({});
  const usualCounts = [1, 2, 4, 8, 16, 32, 64].filter((count) => count < 2 * settings.workers);
  const workerCounts = [...new Set([...usualCounts, settings.workers])].sort((a, b) => a - b);
  const codecRuns = codec === 'auto' ? CODEC_LEVELS.map((codecs) => planRun(settings, codecs)) : [];
  return [
    `${settings.batchSize} samples a step, ${settings.msPerSample} ms a sample, ${formatRate(settings.rate)} and ` +
      `${2 * settings.delayMs} ms round trip for each worker, ${formatRate(settings.coordinatorRate)} for the coordinator; ` +
      `${settings.parameterCount} parameters.`,
    '',
    ...formatTable([
      ...workerCounts.map((count) => formatRow(plan({ workers: count }), baseline)),
      ...(codecRuns.length === 0 ? [] : [[]]),
      ...codecRuns.map((run) => formatRow(run, baseline)),
    ]),
    '',
    describeBottleneck(chosen),
    ...describeWholeGradient(settings, chosen, plan),
    ...suggestChanges(settings, chosen, plan),
  ];
}

/** Names the largest part of a step's time. */
function describeBottleneck({
  workers,
  computeMs,
  linkMs,
  coordinatorMs,
  isLimitedByCoordinatorLink,
}: PlannedRun): string {
  const largestMs = Math.max(computeMs, linkMs, coordinatorMs);
  const subject = workers === 1 ? 'the worker' : `${workers} workers`;
  if (largestMs === computeMs) return `With ${subject} a step is mostly computation.`;
  if (largestMs === coordinatorMs) return `With ${subject} a step is mostly the coordinator's own work.`;
  const links = isLimitedByCoordinatorLink
    ? "the coordinator's link, which all workers share"
    : "the workers' links";
  return `With ${subject} a step is limited by ${links}.`;
}

/** Names what the need of the whole gradient costs. */
function describeWholeGradient(
  { wholeGradientFor = null }: PlanSettings,
  { stepMs }: PlannedRun,
  plan: (changes: Partial<PlanSettings>) => PlannedRun,
): string[] {
  if (wholeGradientFor === null) return [];
  const without = plan({ wholeGradientFor: null });
  return [
    `Weights are sent only when the gradient is whole, which ${wholeGradientFor} needs: a step takes ${formatMs(stepMs)}, without it ${formatMs(without.stepMs)}.`,
  ];
}

/** Smallest gain in samples a second that is suggested. */
const MIN_GAIN = 1.1;

/** Changes that would increase the throughput by a tenth or more, the best first. */
function suggestChanges(
  settings: PlanSettings,
  current: PlannedRun,
  plan: (changes: Partial<PlanSettings>) => PlannedRun,
): string[] {
  const { workers, batchSize, rate, coordinatorRate } = settings;
  const changes: [string, PlannedRun][] = [
    [`twice as many workers (${2 * workers})`, plan({ workers: 2 * workers })],
    ['connections of twice the rate for the workers', plan({ rate: 2 * rate })],
    ['a connection of twice the rate for the coordinator', plan({ coordinatorRate: 2 * coordinatorRate })],
  ];
  // The only other batch size whose accuracy was measured.
  if (batchSize === MEASURED_BATCH) {
    changes.push([`--batch-size ${LARGE_BATCH}, ${LARGE_BATCH_COST}`, plan({ batchSize: LARGE_BATCH })]);
  }
  const oneWorker = workers > 1 ? plan({ workers: 1 }) : current;
  if (oneWorker.samplesPerSecond > current.samplesPerSecond) changes.push(['one worker only', oneWorker]);
  return changes
    .map(([change, run]) => ({ change, gain: run.samplesPerSecond / current.samplesPerSecond }))
    .filter(({ gain }) => gain >= MIN_GAIN)
    .sort((a, b) => b.gain - a.gain)
    .map(({ change, gain }) => `  ${gain.toFixed(1)}x the samples a second with ${change}`);
}

function formatRow(run: PlannedRun, baseline: PlannedRun): string[] {
  return [
    String(run.workers),
    run.codec,
    String(run.batchSize),
    formatMs(run.stepMs),
    run.samplesPerSecond.toFixed(0),
    `${(run.samplesPerSecond / baseline.samplesPerSecond).toFixed(2)} x`,
    formatMs(run.computeMs),
    formatMs(run.linkMs),
    formatMs(run.coordinatorMs),
  ];
}

function formatTable(rows: readonly string[][]): string[] {
  const allRows = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, i) => Math.max(...allRows.map((row) => (row[i] ?? '').length)));
  return allRows.map((row) => row.map((cell, i) => cell.padStart(widths[i] ?? 0)).join('  '));
}

const formatMs = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const formatRate = (rate: number): string => (rate >= 1e9 ? `${rate / 1e9} Gb/s` : `${rate / 1e6} Mb/s`);
