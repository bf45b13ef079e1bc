const STALL_CHECK_MS = 50;
/** Nothing here keeps this thread for so long: the machine was busy with something else. */
const MIN_STALL_MS = 300;

/** Notices when the whole process stood still, so that what was measured meanwhile can be left out. */
export class StallDetector {
  #count = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => this.#check(), STALL_CHECK_MS).unref();

  /** So far. */
  get count(): number {
    this.#check();
    return this.#count;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastMs > MIN_STALL_MS) this.#count++;
    this.#lastMs = nowMs;
  }
}
