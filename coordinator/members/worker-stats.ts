import type { Task } from '../../shared/protocol/messages.ts';

/** What is known of a worker by how it has done so far. */
export class WorkerStats {
  /** Samples of answers that counted, of training and evaluation. */
  samples = 0;
  /** The part of them that trained. */
  trainSamples = 0;
  /** There and back for the last ping; null before the first. */
  rttMs: number | null = null;
  bytesUp = 0;
  bytesDown = 0;

  /** An answer counts. */
  record(task: Task, samples: number): void {
    this.samples += samples;
    if (task === 'train') this.trainSamples += samples;
  }
}
