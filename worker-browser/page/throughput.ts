import type { WorkerRow } from '../../shared/protocol/messages.ts';

/** Throughput of all workers at one moment. */
interface Moment {
  /** Seconds since the first one. */
  readonly at: number;
  /** Samples a second by worker. */
  readonly rates: ReadonlyMap<string, number>;
}

/** A band of a stacked plot. */
export interface Band {
  readonly name: string;
  /** Samples a second at each moment. */
  readonly rates: readonly number[];
}

/** Bands of a stacked plot, the lowest first. */
export interface Stack {
  /** Seconds since the first moment. */
  readonly at: readonly number[];
  readonly bands: readonly Band[];
}

/** More moments than these could not be told apart on a screen. */
const MAX_MOMENTS = 240;
/** Workers with a band of their own; colors of more would look alike. */
export const MAX_BANDS = 6;

/** Throughput of each worker since the page was opened, in a bounded number of moments. */
export class ThroughputHistory {
  #moments: readonly Moment[] = [];
  readonly #names = new Map<string, string>();
  #startMs: number | null = null;
  /** Shortest time between two moments; doubled whenever there are too many. */
  #intervalMs = 0;

  get length(): number {
    return this.#moments.length;
  }

  add(rows: readonly WorkerRow[], nowMs: number): void {
    this.#startMs ??= nowMs;
    const at = (nowMs - this.#startMs) / 1000;
    const last = this.#moments.at(-1);
    if (last !== undefined && (at - last.at) * 1000 < this.#intervalMs) return;
    for (const { id, name } of rows) this.#names.set(id, name);
    this.#moments = [
      ...this.#moments,
      { at, rates: new Map(rows.map(({ id, samplesPerSecond }) => [id, samplesPerSecond])) },
    ];
    if (this.#moments.length <= MAX_MOMENTS) return;
    this.#moments = this.#moments.filter((_, i) => i % 2 === 0);
    this.#intervalMs = (2 * at * 1000) / MAX_MOMENTS;
    const known = new Set(this.#moments.flatMap(({ rates }) => [...rates.keys()]));
    for (const id of this.#names.keys()) if (!known.has(id)) this.#names.delete(id);
  }

  /** Forgets everything, for another run. */
  clear(): void {
    this.#moments = [];
    this.#names.clear();
    this.#startMs = null;
    this.#intervalMs = 0;
  }

  /**
   * Bands of the workers that computed most, and one of all others.
   * @param ownId worker whose band is named `this tab`; null for none
   */
  stack(ownId: string | null): Stack {
    const totals = new Map<string, number>();
    for (const { rates } of this.#moments)
      for (const [id, rate] of rates) totals.set(id, (totals.get(id) ?? 0) + rate);
    const ids = [...totals].sort((a, b) => b[1] - a[1]).map(([id]) => id);
    const shown = ids.slice(0, MAX_BANDS);
    const bands = shown.map((id) => ({
      name: id === ownId ? 'this tab' : (this.#names.get(id) ?? ''),
      rates: this.#moments.map(({ rates }) => rates.get(id) ?? 0),
    }));
    const others = ids.length - shown.length;
    const hasBand = new Set(shown);
    const sumOfOthers = ({ rates }: Moment): number =>
      [...rates].reduce((sum, [id, rate]) => (hasBand.has(id) ? sum : sum + rate), 0);
    return {
      at: this.#moments.map(({ at }) => at),
      bands:
        others === 0
          ? bands
          : [
              ...bands,
              { name: others === 1 ? '1 other' : `${others} others`, rates: this.#moments.map(sumOfOthers) },
            ],
    };
  }
}

/** Upper edge of each band: its rates and those of all bands below. */
export function stackedEdges(bands: readonly Band[]): number[][] {
  const edges: number[][] = [];
  for (const { rates } of bands) {
    const below = edges.at(-1);
    edges.push(rates.map((rate, i) => rate + (below?.[i] ?? 0)));
  }
  return edges;
}
