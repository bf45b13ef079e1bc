import type { CurvePoint, EpochRecord } from '../../shared/protocol/messages.ts';

/** What a curve is drawn over. */
export type Axis = 'step' | 'epoch';
export type Quantity = 'loss' | 'accuracy';

/** One plot, in columns of the same length: x, training as measured, training smoothed, validation. */
export type Columns = [number[], (number | null)[], (number | null)[], (number | null)[]];

/** How many points the smoothed curve remembers, about: few at first, when the values change fast. */
const smoothingWindow = (point: number): number => Math.min(1 + point / 10, 12);

/** The columns of a plot. By step, an epoch's validation stands at its last step. */
export function plotColumns(
  quantity: Quantity,
  axis: Axis,
  curve: readonly CurvePoint[],
  epochs: readonly EpochRecord[],
  stepsAnEpoch: number,
): Columns {
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  const validation = (record: EpochRecord): number | null =>
    finite(quantity === 'loss' ? record.val_loss : record.val_accuracy);
  if (axis === 'epoch') {
    return [
      epochs.map(({ epoch }) => epoch),
      epochs.map(() => null),
      epochs.map((record) => finite(record[quantity])),
      epochs.map(validation),
    ];
  }
  // A loss may be infinite for a while, which no axis holds.
  const points = curve.filter((point) => Number.isFinite(point[quantity]));
  const smooth = smoothValues(points.map((point) => point[quantity]));
  const rows = [
    ...points.map((point, i) => [point.step, point[quantity], smooth[i] ?? null, null] as const),
    ...epochs.map((record) => [record.epoch * stepsAnEpoch, null, null, validation(record)] as const),
  ].sort(([a], [b]) => a - b);
  const columns: Columns = [[], [], [], []];
  for (const [x, ...values] of rows) {
    // Two rows of the same step are one.
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

/** An exponential mean. */
export function smoothValues(values: readonly number[]): number[] {
  let mean = 0;
  return values.map((value, i) => (mean += (value - mean) / smoothingWindow(i)));
}
