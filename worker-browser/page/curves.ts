import { mergePoints } from '../../shared/protocol/merge-points.ts';
import { metricOf, type CurvePoint, type EpochRecord } from '../../shared/protocol/messages.ts';

/** The x axis of a plot. */
export type Axis = 'step' | 'epoch';
/** `loss`, or a metric by name. */
export type Quantity = string;

/**
 * Metric that is shown beside the loss; `accuracy` while the run has none.
 * @param chosen metric that a person has chosen, if the run has it
 */
export function shownMetric(
  metrics: Readonly<Record<string, number>> | undefined,
  chosen: string | null = null,
): string {
  const names = Object.keys(metrics ?? {});
  if (chosen !== null && names.includes(chosen)) return chosen;
  return names.find((name) => !name.endsWith('_loss')) ?? names[0] ?? 'accuracy';
}

/** Value of the loss or of a metric at a point; NaN if it has none. */
const pointValue = (point: CurvePoint, quantity: Quantity): number =>
  quantity === 'loss' ? point.loss : (point.metrics[quantity] ?? NaN);

/** Columns of a plot, of equal length: x, training as measured, training smoothed, validation. */
export type Columns = [number[], (number | null)[], (number | null)[], (number | null)[]];

/** Columns of a plot. By step, the validation of an epoch stands at the epoch's last step. */
export function plotColumns(
  quantity: Quantity,
  axis: Axis,
  curve: readonly CurvePoint[],
  epochs: readonly EpochRecord[],
  stepsPerEpoch: number,
): Columns {
  const finite = (value: number | null): number | null => (Number.isFinite(value) ? value : null);
  const validation = (record: EpochRecord): number | null => finite(metricOf(record, `val_${quantity}`));
  if (axis === 'epoch') {
    return [
      epochs.map(({ epoch }) => epoch),
      epochs.map(() => null),
      epochs.map((record) => finite(metricOf(record, quantity))),
      epochs.map(validation),
    ];
  }
  // A loss may be infinite for a while; no axis can show that.
  const points = curve.filter((point) => Number.isFinite(pointValue(point, quantity)));
  const smooth = smoothValues(points.map((point) => pointValue(point, quantity)));
  const rows = [
    ...points.map((point, i) => [point.step, pointValue(point, quantity), smooth[i] ?? null, null] as const),
    ...epochs.map((record) => [record.epoch * stepsPerEpoch, null, null, validation(record)] as const),
  ].sort(([a], [b]) => a - b);
  const columns: Columns = [[], [], [], []];
  for (const [x, ...values] of rows) {
    // A point and a validation of the same step share a row.
    if (columns[0].at(-1) !== x) {
      columns[0].push(x);
      columns[1].push(null);
      columns[2].push(null);
      columns[3].push(null);
    }
    const last = columns[0].length - 1;
    values.forEach((value, i) => {
      if (value !== null) (columns[i + 1] as (number | null)[])[last] = value;
    });
  }
  return columns;
}

/** One curve of another run: x and y, ascending. */
export type OtherCurve = readonly (readonly [number, number | null])[];

/** The columns with those of other runs behind them. A row that a curve has no value for has null there. */
export function withOtherCurves(
  columns: Columns,
  others: readonly OtherCurve[],
): [number[], ...(number | null)[][]] {
  const [xs, ...values] = columns;
  const all = [...new Set([...xs, ...others.flatMap((curve) => curve.map(([x]) => x))])].sort(
    (a, b) => a - b,
  );
  const placed = (from: readonly number[], column: readonly (number | null)[]): (number | null)[] => {
    const byX = new Map(from.map((x, i) => [x, column[i] ?? null]));
    return all.map((x) => byX.get(x) ?? null);
  };
  return [
    all,
    ...values.map((column) => placed(xs, column)),
    ...others.map((curve) =>
      placed(
        curve.map(([x]) => x),
        curve.map(([, y]) => y),
      ),
    ),
  ];
}

/** Points that the exponential mean covers: few at first, while the values change fast. */
const smoothingWindow = (point: number): number => Math.min(1 + point / 10, 12);

/** Exponential moving mean of the values. */
export function smoothValues(values: readonly number[]): number[] {
  let mean = 0;
  return values.map((value, i) => (mean += (value - mean) / smoothingWindow(i)));
}

/** Upper limit of a curve's points: more than a screen has pixels would not be visible. */
export const MAX_POINTS = 1_200;

/** The same curve in at most `maxPoints` points: neighboring points are merged until it fits. */
export function mergeToLength(curve: readonly CurvePoint[], maxPoints: number): readonly CurvePoint[] {
  if (curve.length <= maxPoints) return curve;
  const merged: CurvePoint[] = [];
  for (let i = 0; i < curve.length; i += 2) {
    const a = curve[i] as CurvePoint;
    const b = curve[i + 1];
    merged.push(b === undefined ? a : mergePoints(a, b));
  }
  return mergeToLength(merged, maxPoints);
}
