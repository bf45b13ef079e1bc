import * as v from 'valibot';
import { metricOf } from '../../shared/protocol/messages.ts';
import { mergeToLength, shownMetric, smoothValues } from './curves.ts';
import type { KeyValueStore } from './storage.ts';
import type { RunState } from './run-state.ts';

/** x, loss and metric; null where a value is not defined. */
const pointSchema = v.tuple([v.number(), v.nullable(v.number()), v.nullable(v.number())]);
/** A run that this browser has seen, as it is stored. */
const earlierRunSchema = v.object({
  key: v.pipe(v.string(), v.maxLength(300)),
  data: v.pipe(v.string(), v.maxLength(300)),
  /** Name of the metric in its points. */
  metric: v.pipe(v.string(), v.maxLength(300)),
  steps: v.pipe(v.array(pointSchema), v.maxLength(500)),
  epochs: v.pipe(v.array(pointSchema), v.maxLength(500)),
});
export type EarlierRun = v.InferOutput<typeof earlierRunSchema>;
const storedSchema = v.pipe(v.array(earlierRunSchema), v.maxLength(50));

const STORAGE_KEY = 'gradcast.runs';
/** Stored runs, about 10 kB each. */
const MAX_STORED = 6;
/** Earlier runs in a plot. */
export const MAX_EARLIER = 3;
/** Points of a stored curve. */
const MAX_STORED_POINTS = 150;
const MAX_STORED_EPOCHS = 300;

/** The runs that this browser has stored, the newest first; none if it stores nothing or something else. */
export function loadRuns(storage: () => Pick<KeyValueStore, 'getItem'>): readonly EarlierRun[] {
  try {
    return v.parse(storedSchema, JSON.parse(storage().getItem(STORAGE_KEY) ?? '[]'));
  } catch {
    return [];
  }
}

/** Identifies a run from the end of its first epoch on, by the epoch's duration, which no other run shares; null before that. */
export function runKey({ job, epochs }: RunState): string | null {
  const [first] = epochs;
  return job === null || first === undefined ? null : `${job.data.name.slice(0, 200)} ${first.seconds}`;
}

/** Stores a run with at least one finished epoch, or replaces what was stored of it. */
export function saveRun(storage: () => KeyValueStore, run: RunState): void {
  const key = runKey(run);
  if (key === null || run.job === null) return;
  const metric = shownMetric(run.curve.at(-1)?.metrics);
  const points = mergeToLength(run.curve, MAX_STORED_POINTS);
  const losses = smoothValues(points.map(({ loss }) => loss));
  const values = smoothValues(points.map(({ metrics }) => metrics[metric] ?? NaN));
  const finite = (value: number | null | undefined): number | null =>
    Number.isFinite(value) ? (value as number) : null;
  const earlier: EarlierRun = {
    key,
    data: run.job.data.name.slice(0, 300),
    metric: metric.slice(0, 300),
    steps: points.map(({ step }, i) => [step, finite(losses[i]), finite(values[i])]),
    epochs: run.epochs
      .slice(0, MAX_STORED_EPOCHS)
      .map((record) => [record.epoch, finite(record.loss), finite(metricOf(record, metric))]),
  };
  try {
    const others = loadRuns(storage).filter((other) => other.key !== key);
    storage().setItem(STORAGE_KEY, JSON.stringify([earlier, ...others].slice(0, MAX_STORED)));
  } catch {
    // Without storage the page shows no earlier runs.
  }
}

/** Stored runs with the same data as this one, which is not among them. */
export function earlierRunsOf(stored: readonly EarlierRun[], run: RunState): readonly EarlierRun[] {
  const key = runKey(run);
  return stored
    .filter((other) => other.data === run.job?.data.name && other.key !== key)
    .slice(0, MAX_EARLIER);
}
