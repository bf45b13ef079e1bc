import type { ProgressWithRows, WorkerRow } from '../../shared/protocol/messages.ts';
import { formatPercent } from './format.ts';

/** This tab's part in a run. */
export interface Contribution {
  /** Samples of training and evaluation, which the rows of workers do not tell apart; null before a row of this tab has come. */
  readonly samples: number | null;
  /** Their part of the samples of all workers that this page has seen, 0 to 1; null if the page does not know all workers. */
  readonly part: number | null;
}

/** The part of a run's state that counts samples. */
interface CountedRun {
  readonly ownIds: readonly string[];
  readonly samplesById: ReadonlyMap<string, number>;
  readonly progress: Pick<ProgressWithRows, 'workers' | 'workerCount'> | null;
}

/** The contribution of this tab, under all worker IDs that it has had: it joins anew after a pause, and with another engine. */
export function contributionOf({ ownIds, samplesById, progress }: CountedRun): Contribution {
  const counts = ownIds.flatMap((id) => samplesById.get(id) ?? []);
  if (counts.length === 0) return { samples: null, part: null };
  const samples = sum(counts);
  const total = sum(samplesById.values());
  const hasAllRows = (progress?.workerCount ?? 0) <= (progress?.workers.length ?? 0);
  return { samples, part: total === 0 || !hasAllRows ? null : samples / total };
}

/** Samples by worker ID after newer rows. Workers that have left keep theirs. */
export function addRows(
  samplesById: ReadonlyMap<string, number>,
  rows: readonly WorkerRow[] | undefined,
): ReadonlyMap<string, number> {
  if (rows === undefined) return samplesById;
  const next = new Map(samplesById);
  for (const { id, samples } of rows) next.set(id, samples);
  return next;
}

/** A part in percent; what would be rounded to nothing is below 1%. */
export const formatPart = (part: number): string =>
  part > 0 && part < 0.005 ? 'less than 1%' : formatPercent(part);

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
