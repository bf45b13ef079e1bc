/** What can be held: it is given back when its place is taken. */
export interface Disposable {
  dispose(): void;
}

/**
 * A bounded number of graphs by key. A full cache lets go of the one that was used longest ago, but only if that was so
 * many uses ago that it seems to be wanted no more: taking turns, too many sizes would have each other captured again
 * and again.
 */
export class GraphCache<Key, T extends Disposable> {
  readonly #most: number;
  readonly #staleAfterUses: number;
  readonly #held = new Map<Key, { readonly graph: T; usedAt: number }>();
  #uses = 0;

  constructor(most: number, staleAfterUses: number) {
    this.#most = most;
    this.#staleAfterUses = staleAfterUses;
  }

  get size(): number {
    return this.#held.size;
  }

  has(key: Key): boolean {
    return this.#held.has(key);
  }

  /** Counts as a use, whether or not there is one. */
  use(key: Key): T | undefined {
    this.#uses++;
    const entry = this.#held.get(key);
    if (entry === undefined) return undefined;
    entry.usedAt = this.#uses;
    return entry.graph;
  }

  /** Whether one more graph may be added now. */
  get hasRoom(): boolean {
    return this.#held.size < this.#most || this.#stalest() !== undefined;
  }

  add(key: Key, graph: T): void {
    if (this.#held.size >= this.#most) {
      const stale = this.#stalest();
      if (stale !== undefined) this.remove(stale);
    }
    this.#held.set(key, { graph, usedAt: this.#uses });
  }

  remove(key: Key): void {
    this.#held.get(key)?.graph.dispose();
    this.#held.delete(key);
  }

  clear(): void {
    for (const key of [...this.#held.keys()]) this.remove(key);
  }

  #stalest(): Key | undefined {
    const [oldest] = [...this.#held].sort(([, p], [, q]) => p.usedAt - q.usedAt);
    if (oldest === undefined) return undefined;
    return this.#uses - oldest[1].usedAt > this.#staleAfterUses ? oldest[0] : undefined;
  }
}
