import type { Task } from '../../shared/protocol/messages.ts';

/** What is known of a worker by how it has done so far. */
export class WorkerStats {
  samples = 0;
  /** Means that forget: a shard counts a tenth. 0 before the first. */
  computeMs = 0;
  turnaroundMs = 0;
  samplesPerSecond = 0;
  /** Samples of the last shard of a training step. */
  lastSamples = 0;
  /** There and back for the last ping; null before the first. */
  rttMs: number | null = null;
  bytesUp = 0;
  bytesDown = 0;
  #shards = 0;

  /** @param turnaroundMs from giving the shard to having its answer */
  answered(task: Task, samples: number, computeMs: number, turnaroundMs: number): void {
    const weight = Math.max(0.1, 1 / ++this.#shards);
    const mean = (old: number, value: number): number => old + weight * (value - old);
    this.samples += samples;
    // A shard of the test data is no part of a batch.
    if (task === 'train') this.lastSamples = samples;
    this.computeMs = mean(this.computeMs, computeMs);
    this.turnaroundMs = mean(this.turnaroundMs, turnaroundMs);
    const rate = turnaroundMs > 0 ? (1000 * samples) / turnaroundMs : this.samplesPerSecond;
    this.samplesPerSecond = mean(this.samplesPerSecond, rate);
  }
}
