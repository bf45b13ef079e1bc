import type { Task } from '../../shared/protocol/messages.ts';

interface Answered {
  readonly samples: number;
  readonly computeMs: number;
  readonly turnaroundMs: number;
}

/** Shards of training steps that the times are taken over: half a minute, or less. */
const RECENT_SHARDS = 51;

/**
 * What is known of a worker by how it has done so far. Times are those of training shards alone, and medians: shards of the
 * test data have another size and wait behind each other, and the first shard waits for the engine to be built.
 */
export class WorkerStats {
  samples = 0;
  /** Samples of the last shard of a training step. */
  lastSamples = 0;
  /** There and back for the last ping; null before the first. */
  rttMs: number | null = null;
  bytesUp = 0;
  bytesDown = 0;
  readonly #recent: Answered[] = [];

  /**
   * @param computeMs what the worker says; no more than the turnaround counts
   * @param turnaroundMs from giving the shard to having its answer
   */
  answered(task: Task, samples: number, computeMs: number, turnaroundMs: number): void {
    this.samples += samples;
    if (task !== 'train') return;
    this.lastSamples = samples;
    this.#recent.push({ samples, computeMs: Math.min(computeMs, turnaroundMs), turnaroundMs });
    if (this.#recent.length > RECENT_SHARDS) this.#recent.shift();
  }

  /** Of a recent shard; 0 before the first. */
  get computeMs(): number {
    return medianOf(this.#recent.map(({ computeMs }) => computeMs));
  }

  /** Of a recent shard; 0 before the first. */
  get turnaroundMs(): number {
    return medianOf(this.#recent.map(({ turnaroundMs }) => turnaroundMs));
  }

  /** Samples of a recent shard; 0 before the first. */
  get shardSamples(): number {
    return medianOf(this.#recent.map(({ samples }) => samples));
  }

  /** Over recent shards; 0 before the first. */
  get samplesPerSecond(): number {
    const samples = this.#recent.reduce((sum, shard) => sum + shard.samples, 0);
    const elapsedMs = this.#recent.reduce((sum, shard) => sum + shard.turnaroundMs, 0);
    return elapsedMs > 0 ? (1000 * samples) / elapsedMs : 0;
  }
}

const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
