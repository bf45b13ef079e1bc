import { FATAL_CLOSE_CODES } from '../../shared/protocol/close-codes.ts';
import type { WorkerPool } from '../pool/pool.ts';

/** Training samples that workers of one name have computed in a run. */
export interface Contribution {
  readonly worker: string;
  readonly samples: number;
}

/** Number of workers in a line. */
const MAX_NAMES = 20;

/** Counts the training samples of each worker of a run, also of those that have left. Samples of banned workers do not count. */
export class Contributions {
  readonly #pool: Pick<WorkerPool, 'workers'>;
  /** Samples of workers that have left, by name. */
  readonly #departed = new Map<string, number>();

  constructor(pool: Pick<WorkerPool, 'subscribe' | 'workers'>) {
    this.#pool = pool;
    pool.subscribe({
      left: ({ name, stats }, _reason, code) => {
        if (code === undefined || !FATAL_CLOSE_CODES.has(code)) add(this.#departed, name, stats.trainSamples);
      },
    });
  }

  /** Contributions so far, the largest first; without workers that have computed nothing. */
  get all(): Contribution[] {
    const samplesOf = new Map(this.#departed);
    for (const { name, stats } of this.#pool.workers.values()) add(samplesOf, name, stats.trainSamples);
    return [...samplesOf]
      .filter(([, samples]) => samples > 0)
      .map(([worker, samples]) => ({ worker, samples }))
      .sort((a, b) => b.samples - a.samples);
  }
}

const add = (samplesOf: Map<string, number>, name: string, samples: number): void =>
  void samplesOf.set(name, (samplesOf.get(name) ?? 0) + samples);

/** Line with the part of each worker; null if fewer than two have computed. */
export function describeContributions(contributions: readonly Contribution[]): string | null {
  if (contributions.length < 2) return null;
  const total = contributions.reduce((sum, { samples }) => sum + samples, 0);
  const named = contributions
    .slice(0, MAX_NAMES)
    .map(({ worker, samples }) => `${worker} ${Math.round((100 * samples) / total)}%`);
  const more =
    contributions.length > MAX_NAMES ? `, and ${contributions.length - MAX_NAMES} more workers` : '';
  return `Samples computed: ${named.join(', ')}${more}`;
}
