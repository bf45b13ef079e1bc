import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { Assignment } from '../schedule.ts';

/**
 * Puts together what a worker needed for a share that it was given in several nodes: its pace is that of the whole
 * share.
 */
export class ShareTimes {
  readonly #shares = new Map<WorkerId, { samples: number; left: number; busyMs: number }>();

  /** A step begins. */
  beginStep(nodes: readonly Assignment[]): void {
    this.#shares.clear();
    for (const { worker, from, to } of nodes) {
      const share = this.#shares.get(worker) ?? { samples: 0, left: 0, busyMs: 0 };
      share.samples += to - from;
      share.left += to - from;
      this.#shares.set(worker, share);
    }
  }

  /** Of the worker's share in this step; 0 if it has none. */
  shareSamples(worker: WorkerId): number {
    return this.#shares.get(worker)?.samples ?? 0;
  }

  /** @returns what is known of a whole share now; null while some of it is missing */
  record(worker: WorkerId, samples: number, busyMs: number): { samples: number; busyMs: number } | null {
    const share = this.#shares.get(worker);
    // Something besides its share, or of a step before.
    if (share === undefined || samples > share.left) return { samples, busyMs };
    share.left -= samples;
    share.busyMs += busyMs;
    return share.left === 0 ? share : null;
  }
}
