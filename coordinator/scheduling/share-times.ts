import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Assignment } from './partition.ts';

/** Adds the times of a share that a worker was assigned in several shards: throughput is measured by the whole share. */
export class ShareTimes {
  readonly #shares = new Map<WorkerId, { samples: number; samplesLeft: number; busyMs: number }>();

  /** Forgets the last step's shares. */
  beginStep(shards: readonly Assignment[]): void {
    this.#shares.clear();
    for (const { worker, from, to } of shards) {
      const share = this.#shares.get(worker) ?? { samples: 0, samplesLeft: 0, busyMs: 0 };
      share.samples += to - from;
      share.samplesLeft += to - from;
      this.#shares.set(worker, share);
    }
  }

  /** Samples of the worker's share in this step; 0 if it has none. */
  shareSamples(worker: WorkerId): number {
    return this.#shares.get(worker)?.samples ?? 0;
  }

  /** @returns samples and time of the whole share; null while some of its shards are missing */
  record(worker: WorkerId, samples: number, busyMs: number): { samples: number; busyMs: number } | null {
    const share = this.#shares.get(worker);
    // A shard besides the worker's share, or of an earlier step.
    if (share === undefined || samples > share.samplesLeft) return { samples, busyMs };
    share.samplesLeft -= samples;
    share.busyMs += busyMs;
    return share.samplesLeft === 0 ? share : null;
  }
}
