import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { RunRecord } from './read-run.ts';
import { drawCurves, type CurveStyle } from '../report/curve.ts';
import { formatDuration, formatMetric, metricsOf } from '../report/reporter.ts';

const HEADINGS = ['run', 'started', 'model', 'data', 'epochs', 'steps', 'figures', 'time', 'state'];
/**
 * Options that differ between any two runs and say nothing of their results. `workers` counts those that the command itself started; the
 * figures have those that computed.
 */
const INCIDENTAL_OPTIONS: ReadonlySet<string> = new Set([
  ...['started', 'out', 'port', 'workers'],
  'dataset.description',
]);

/** Lines of a table of runs. */
export function describeRuns(runs: readonly RunRecord[]): string[] {
  const rows = runs.map((run) => [
    run.dir,
    startOf(run),
    run.model ?? '-',
    run.data ?? '-',
    epochsOf(run),
    `${run.steps ?? '-'}`,
    Object.entries(mainFigures(run.history.at(-1)))
      .map(([name, value]) => `${name} ${formatMetric(value)}`)
      .join(', ') || '-',
    formatDuration(run.seconds),
    stateOf(run),
  ]);
  return formatColumns([HEADINGS, ...rows]);
}

/** Comparison of two runs, as data. */
export interface RunComparison {
  /** Options whose values differ, of the first run and of the second; null where a run has none. */
  readonly options: Readonly<Record<string, readonly [unknown, unknown]>>;
  /** Figures of the last epoch of each; null where a run has none. */
  readonly figures: Readonly<Record<string, readonly [number | null, number | null]>>;
  /** Whether the weights are the same, bit by bit; null if a run has none. */
  readonly sameWeights: boolean | null;
  /** Norm of the weights' difference, relative to the norm of the first run's; null if they cannot be subtracted. */
  readonly weightsDistance: number | null;
}

/** Compares two runs. @param weights those of each; null if it has none */
export function compareRuns(
  a: RunRecord,
  b: RunRecord,
  weights: readonly [Float32Array | null, Float32Array | null],
): RunComparison {
  const names = new Set([...Object.keys(a.options), ...Object.keys(b.options)]);
  const differing = [...names].filter(
    (name) =>
      !INCIDENTAL_OPTIONS.has(name) && JSON.stringify(a.options[name]) !== JSON.stringify(b.options[name]),
  );
  const figures = [a, b].map(allFigures);
  const figureNames = new Set(figures.flatMap((each) => Object.keys(each)));
  return {
    options: Object.fromEntries(
      differing.map((name) => [name, [a.options[name] ?? null, b.options[name] ?? null] as const]),
    ),
    figures: Object.fromEntries(
      [...figureNames].map((name) => [
        name,
        [figures[0]?.[name] ?? null, figures[1]?.[name] ?? null] as const,
      ]),
    ),
    ...compareWeights(...weights),
  };
}

function compareWeights(
  a: Float32Array | null,
  b: Float32Array | null,
): Pick<RunComparison, 'sameWeights' | 'weightsDistance'> {
  if (a === null || b === null) return { sameWeights: null, weightsDistance: null };
  const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
    Buffer.from(buffer, byteOffset, byteLength);
  const sameWeights = bytesOf(a).equals(bytesOf(b));
  if (a.length !== b.length) return { sameWeights, weightsDistance: null };
  let difference = 0;
  let norm = 0;
  for (const [i, value] of a.entries()) {
    difference += (value - (b[i] ?? 0)) ** 2;
    norm += value ** 2;
  }
  return { sameWeights, weightsDistance: difference === 0 ? 0 : Math.sqrt(difference / norm) };
}

/** Lines that describe how two runs differ: options, figures, and the curves of both in one drawing. */
export function describeComparison(
  a: RunRecord,
  b: RunRecord,
  { options, figures, ...weights }: RunComparison,
  style: CurveStyle,
): string[] {
  const optionRows = Object.entries(options).map(([name, values]) => [name, ...values.map(formatOption)]);
  const figureRows = Object.entries(figures).map(([name, values]) => [
    name,
    ...values.map((value) => formatFigure(name, value)),
  ]);
  const curves = curveNames([a, b]).flatMap((name) => {
    const drawing = drawCurves(
      [
        { mark: 'A', values: valuesOf(a.history, name) },
        { mark: 'B', values: valuesOf(b.history, name) },
      ],
      style,
    );
    return drawing.length === 0 ? [] : ['', `${name} by epoch (* both)`, ...drawing];
  });
  return [
    `A: ${a.dir} (${stateOf(a)})`,
    `B: ${b.dir} (${stateOf(b)})`,
    '',
    ...(optionRows.length === 0
      ? ['The options are the same.']
      : formatColumns([['option', 'A', 'B'], ...optionRows])),
    '',
    ...formatColumns([['figure', 'A', 'B'], ...figureRows]),
    ...curves,
    '',
    describeWeights(weights),
  ];
}

function describeWeights({
  sameWeights,
  weightsDistance,
}: Pick<RunComparison, 'sameWeights' | 'weightsDistance'>): string {
  if (sameWeights === null) return 'The weights are not compared: a run has no saved model.';
  if (sameWeights) return 'The weights are the same, bit by bit.';
  if (weightsDistance === null) return 'The weights are those of different models.';
  return `The weights differ by ${weightsDistance.toExponential(1)} of their norm.`;
}

/** Lines with the curves of a run, for its end: loss and the first metric by epoch; none before its second epoch. */
export function describeCurves(history: readonly EpochRecord[], style: CurveStyle): string[] {
  return curveNames([{ history }]).flatMap((name) => {
    const drawing = drawCurves([{ mark: '*', values: valuesOf(history, name) }], style);
    return drawing.length === 0 ? [] : [`${name} by epoch, 1 to ${history.at(-1)?.epoch ?? 1}:`, ...drawing];
  });
}

/** Names of the curves to draw: the loss and the first metric, on the test data where they were measured. */
function curveNames(runs: readonly Pick<RunRecord, 'history'>[]): string[] {
  return [...new Set(runs.flatMap(({ history }) => Object.keys(mainFigures(history.at(-1)))))];
}

const valuesOf = (history: readonly EpochRecord[], name: string): number[] =>
  history.map((record) => metricsOf(record)[name] ?? NaN);

/** Loss and the first metric of an epoch, on the test data where they were measured. */
function mainFigures(record: EpochRecord | undefined): Record<string, number> {
  if (record === undefined) return {};
  const entries = Object.entries(metricsOf(record));
  const measured = entries.filter(([name]) => name.startsWith('val_'));
  return Object.fromEntries((measured.length > 0 ? measured : entries).slice(0, 2));
}

/** Figures of a comparison by name. */
function allFigures({ history, steps, seconds }: RunRecord): Record<string, number> {
  const last = history.at(-1);
  return {
    epochs: last?.epoch ?? 0,
    ...(steps === null ? {} : { steps }),
    seconds,
    ...(last === undefined ? {} : { most_workers: Math.max(...history.map(({ workers }) => workers)) }),
    ...(last === undefined ? {} : { samples_per_second: last.samples_per_second, ...metricsOf(last) }),
  };
}

function formatFigure(name: string, value: number | null): string {
  if (value === null) return '-';
  if (name === 'samples_per_second' || name === 'seconds') return value.toFixed(1);
  return ['epochs', 'steps', 'most_workers'].includes(name) ? `${value}` : formatMetric(value);
}

const formatOption = (value: unknown): string =>
  value === null ? '-' : sanitizeForTerminal(typeof value === 'string' ? value : JSON.stringify(value));

const startOf = ({ started }: RunRecord): string =>
  started === null ? '-' : sanitizeForTerminal(started.slice(0, 16).replace('T', ' '));

function epochsOf({ history, epochs }: RunRecord): string {
  const done = history.at(-1)?.epoch ?? 0;
  return epochs === null ? `${done}` : `${done}/${epochs}`;
}

const stateOf = ({ state, canResume }: RunRecord): string =>
  state === 'interrupted' && canResume ? 'interrupted, can be resumed' : state;

function formatColumns(rows: readonly (readonly string[])[]): string[] {
  const clean = rows.map((row) => row.map(sanitizeForTerminal));
  const widths = (clean[0] ?? []).map((_, column) =>
    Math.max(...clean.map((row) => (row[column] ?? '').length)),
  );
  return clean.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
