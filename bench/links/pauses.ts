const EVERY_MS = 50;
/** Nothing here keeps this thread for so long: the machine was busy with something else. */
const PAUSE_MS = 300;

/** Notices when the whole process stood still, so that what was measured meanwhile can be left out. */
export class Pauses {
  #count = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => this.#look(), EVERY_MS).unref();

  /** So far. */
  get count(): number {
    this.#look();
    return this.#count;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastMs > PAUSE_MS) this.#count++;
    this.#lastMs = nowMs;
  }
}
