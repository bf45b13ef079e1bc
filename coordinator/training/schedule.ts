import type { WorkerId } from '../../shared/protocol/messages.ts';

/** A contiguous part of a batch, [from, to) in positions, not sample numbers. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Assignment extends Range {
  readonly worker: WorkerId;
}

/** Cuts [from, to) into `parts` ranges whose lengths differ by one at most; fewer if there are not so many samples. */
export function cut({ from, to }: Range, parts: number): Range[] {
  const length = to - from;
  const ranges: Range[] = [];
  for (let part = 0; part < parts; part++) {
    const start = from + Math.floor((length * part) / parts);
    const end = from + Math.floor((length * (part + 1)) / parts);
    if (end > start) ranges.push({ from: start, to: end });
  }
  return ranges;
}

/** Equal shares of a batch, in the order of the workers. */
export function equalShares(samples: number, workers: readonly WorkerId[]): Assignment[] {
  return cut({ from: 0, to: samples }, workers.length).flatMap((range, i) => {
    const worker = workers[i];
    return worker === undefined ? [] : [{ ...range, worker }];
  });
}
