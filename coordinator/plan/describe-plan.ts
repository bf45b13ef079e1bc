import { CODEC_LEVELS } from '../links/policy.ts';
import { LINK_CODECS, FLOAT32_LINK } from '../links/codecs.ts';
import { planWithBestCodecs, planRun, type PlannedRun, type PlanSettings } from './plan.ts';

const MEASURED_BATCH = 128;
const LARGE_BATCH = 1024;
/** MNIST, see docs/decisions/0023-larger-batches.md. */
const LARGE_BATCH_COST =
  'which learns less in an epoch: MNIST, .953 instead of .973 after one, .977 instead of .982 after two';

const HEADINGS = ['workers', 'codec', 'batch', 'step', 'samples/s', 'gain', 'compute', 'link', 'coordinator'];

/** What a run can be expected to do, in a table, and what would help. */
export function describePlan(settings: PlanSettings, codec: string): string[] {
  const plan = (changes: Partial<PlanSettings>): PlannedRun => {
    const changed = { ...settings, ...changes };
    return codec === 'auto'
      ? planWithBestCodecs(changed)
      : planRun(changed, LINK_CODECS[codec] ?? FLOAT32_LINK);
  };
  const alone = plan({ workers: 1 });
  const chosen = plan({});
  const counts = [1, 2, 4, 8, 16, 32, 64].filter((count) => count < 2 * settings.workers);
  const workers = [...new Set([...counts, settings.workers])].sort((a, b) => a - b);
  const codecs = codec === 'auto' ? CODEC_LEVELS.map((codecs) => planRun(settings, codecs)) : [];
  return [
    `${settings.batchSize} samples a step, ${settings.msPerSample} ms a sample, ${formatRate(settings.rate)} and ` +
      `${2 * settings.delayMs} ms there and back for each worker, ${formatRate(settings.coordinatorRate)} for the coordinator; ` +
      `${settings.parameterCount} parameters.`,
    '',
    ...formatTable([
      ...workers.map((count) => formatRow(plan({ workers: count }), alone)),
      ...(codecs.length === 0 ? [] : [[]]),
      ...codecs.map((run) => formatRow(run, alone)),
    ]),
    '',
    describeLimit(chosen),
    ...suggestChanges(settings, chosen, plan),
  ];
}

/** What a step waits for most. */
function describeLimit({
  workers,
  computeMs,
  linkMs,
  coordinatorMs,
  isLimitedByCoordinatorLink,
}: PlannedRun): string {
  const most = Math.max(computeMs, linkMs, coordinatorMs);
  const who = workers === 1 ? 'the worker' : `${workers} workers`;
  if (most === computeMs) return `With ${who} a step is mostly computation.`;
  if (most === coordinatorMs) return `With ${who} a step is mostly the coordinator's own work.`;
  const whose = isLimitedByCoordinatorLink ? "the coordinator's link, which all share" : "the workers' links";
  return `With ${who} a step is limited by ${whose}.`;
}

/** Changes that would bring a tenth more samples a second, the best first. */
function suggestChanges(
  settings: PlanSettings,
  now: PlannedRun,
  plan: (changes: Partial<PlanSettings>) => PlannedRun,
): string[] {
  const { workers, batchSize, rate, coordinatorRate } = settings;
  const ideas: [string, PlannedRun][] = [
    [`twice as many workers (${2 * workers})`, plan({ workers: 2 * workers })],
    ['connections of twice the rate for the workers', plan({ rate: 2 * rate })],
    ['a connection of twice the rate for the coordinator', plan({ coordinatorRate: 2 * coordinatorRate })],
  ];
  // The only other size whose cost is known.
  if (batchSize === MEASURED_BATCH) {
    ideas.push([`--batch-size ${LARGE_BATCH}, ${LARGE_BATCH_COST}`, plan({ batchSize: LARGE_BATCH })]);
  }
  const fewer = workers > 1 ? plan({ workers: 1 }) : now;
  if (fewer.samplesPerSecond > now.samplesPerSecond) ideas.push(['one worker only', fewer]);
  const helping = ideas
    .map(([what, run]) => ({ what, gain: run.samplesPerSecond / now.samplesPerSecond }))
    .filter(({ gain }) => gain >= 1.1)
    .sort((a, b) => b.gain - a.gain);
  return helping.map(({ what, gain }) => `  ${gain.toFixed(1)}x the samples a second with ${what}`);
}

function formatRow(run: PlannedRun, alone: PlannedRun): string[] {
  return [
    ...[String(run.workers), run.codec, String(run.batchSize)],
    ...[formatMs(run.stepMs), run.samplesPerSecond.toFixed(0)],
    `${(run.samplesPerSecond / alone.samplesPerSecond).toFixed(2)} x`,
    ...[formatMs(run.computeMs), formatMs(run.linkMs), formatMs(run.coordinatorMs)],
  ];
}

function formatTable(rows: readonly string[][]): string[] {
  const all = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all.map((row) => row.map((cell, i) => cell.padStart(widths[i] ?? 0)).join('  '));
}

const formatMs = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const formatRate = (rate: number): string => (rate >= 1e9 ? `${rate / 1e9} Gb/s` : `${rate / 1e6} Mb/s`);
