const LOSS_WINDOW = 32;
/** Before so many steps nothing is usual. */
const MIN_STEPS = 8;
/** Losses of a healthy run vary by less. */
const MAX_TIMES_MEDIAN = 10;
/** A loss up to this many times that of guessing is no jump: a run begins there. */
const MAX_TIMES_CHANCE = 2;

/** Notices that the loss of a run has jumped: far above what it was, and above what guessing gives. */
export class LossSpikeDetector {
  readonly #chanceLoss: number;
  #recent: number[] = [];

  /** @param classes of the data */
  constructor(classes: number) {
    this.#chanceLoss = Math.log(Math.max(2, classes));
  }

  /** The usual loss of the last steps; null while too few are known. */
  get typicalLoss(): number | null {
    if (this.#recent.length < MIN_STEPS) return null;
    return this.#recent.toSorted((a, b) => a - b)[this.#recent.length >> 1] ?? null;
  }

  /**
   * @param loss mean of a step's samples
   * @returns whether it is a jump; then it does not become usual
   */
  record(loss: number): boolean {
    const { typicalLoss } = this;
    const limit = Math.max(MAX_TIMES_MEDIAN * (typicalLoss ?? Infinity), MAX_TIMES_CHANCE * this.#chanceLoss);
    if (!(loss <= limit)) return true;
    this.#recent = [...this.#recent, loss].slice(-LOSS_WINDOW);
    return false;
  }

  /** What was usual is not any more. */
  reset(): void {
    this.#recent = [];
  }
}
