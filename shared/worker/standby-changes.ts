const INTERVAL_MS = 60_000;

interface LastLine {
  readonly onStandby: boolean;
  readonly atMs: number;
}

/**
 * Chooses the changes of workers between standby and work that a log has: on a machine whose workers are about equally fast they may
 * change every few steps, so a worker has at most one line a minute, and none that repeats its last.
 */
export class StandbyChanges {
  readonly #lastLines = new Map<string, LastLine>();

  /** Whether the log has this change, which then counts as written. @param worker name of the worker */
  isNews(worker: string, onStandby: boolean, nowMs: number): boolean {
    const last = this.#lastLines.get(worker);
    if (last === undefined ? !onStandby : last.onStandby === onStandby || nowMs - last.atMs < INTERVAL_MS)
      return false;
    this.#lastLines.set(worker, { onStandby, atMs: nowMs });
    return true;
  }

  /** Forgets a worker that has left. */
  forget(worker: string): void {
    this.#lastLines.delete(worker);
  }
}
