/** Vectors of a run as they were before a step, with what else is needed to train on from there. */
interface Snapshot<Place> {
  readonly step: number;
  readonly position: Place;
  readonly vectors: readonly Float32Array[];
}

/** Of one epoch: its beginning, and the two newest. */
const MAX_SNAPSHOTS = 3;
/** In all; of a model that needs more there are fewer snapshots, or none. */
const MAX_BYTES = 512 << 20;

/** States in memory that a run can go back to when a worker has spoilt it. */
export class RunSnapshots<Place> {
  readonly #vectors: readonly Float32Array[];
  readonly #maxSnapshots: number;
  #snapshots: Snapshot<Place>[] = [];

  /** @param vectors that training changes in place */
  constructor(vectors: readonly Float32Array[]) {
    this.#vectors = vectors;
    const bytes = vectors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.#maxSnapshots = Math.min(MAX_SNAPSHOTS, Math.floor(MAX_BYTES / Math.max(1, bytes)));
  }

  /**
   * Keeps what there is before a step; of older snapshots, the first and the newest stay.
   * @param position what `restore` gives back
   */
  save(step: number, position: Place): void {
    const held = this.#snapshots;
    // After going back to a step, that state is still there.
    if (this.#maxSnapshots === 0 || held.at(-1)?.step === step) return;
    const reused = held.length < this.#maxSnapshots ? undefined : held.splice(Math.min(1, held.length - 1), 1)[0];
    const vectors = reused?.vectors ?? this.#vectors.map(({ length }) => new Float32Array(length));
    for (const [i, vector] of this.#vectors.entries()) vectors[i]?.set(vector);
    held.push({ step, position, vectors });
  }

  /**
   * Puts back the newest state before this step or, if there is none so old, the oldest one.
   * @returns its place; null if nothing is kept
   */
  restore(beforeStep: number): Place | null {
    const [oldest] = this.#snapshots;
    const snapshot = this.#snapshots.findLast(({ step }) => step <= beforeStep) ?? oldest;
    if (snapshot === undefined) return null;
    for (const [i, vector] of this.#vectors.entries()) vector.set(snapshot.vectors[i] ?? []);
    this.#snapshots = this.#snapshots.filter(({ step }) => step <= snapshot.step);
    return snapshot.position;
  }

  /** What is kept is not to be gone back to any more. */
  clear(): void {
    this.#snapshots = [];
  }
}
