/** Steps before a forecast is made; the first ones are slower than those that follow. */
const MIN_STEPS = 30;
const MIN_MS = 5_000;

/** Forecasts how long a run still takes from the steps that a worker computed. Times are in milliseconds. */
export class RunProgress {
  #totalSteps: number | null = null;
  #first: { readonly step: number; readonly atMs: number } | null = null;

  /** Whether the run is in exact mode, where engines must not change; true until a worker has joined. */
  get isExact(): boolean {
    return this.#totalSteps === null;
  }

  /** A worker joined. @param totalSteps of the run; null if its engine must not change */
  joined(totalSteps: number | null): void {
    this.#totalSteps = totalSteps;
  }

  /** A worker computed its part of a step. @returns the time that the run still takes, or null before that is known */
  computed(step: number, nowMs: number): number | null {
    const first = this.#first;
    if (first === null || step < first.step) {
      this.#first = { step, atMs: nowMs };
      return null;
    }
    const steps = step - first.step;
    const elapsedMs = nowMs - first.atMs;
    if (this.#totalSteps === null || steps < MIN_STEPS || elapsedMs < MIN_MS) return null;
    return Math.max(0, this.#totalSteps - step - 1) * (elapsedMs / steps);
  }
}
