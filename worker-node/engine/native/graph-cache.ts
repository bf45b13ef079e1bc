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
  readonly #capacity: number;
  readonly #staleAfterUses: number;
  readonly #entries = new Map<Key, { readonly graph: T; usedAt: number }>();
  #uses = 0;

  constructor(most: number, staleAfterUses: number) {
    this.#capacity = most;
    this.#staleAfterUses = staleAfterUses;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** Counts as a use, whether or not there is one. */
  get(key: Key): T | undefined {
    this.#uses++;
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    entry.usedAt = this.#uses;
    return entry.graph;
  }

  /** Whether one more graph may be added now. */
  get canAdd(): boolean {
    return this.#entries.size < this.#capacity || this.#stalest() !== undefined;
  }

  add(key: Key, graph: T): void {
    if (this.#entries.size >= this.#capacity) {
      const stale = this.#stalest();
      if (stale !== undefined) this.remove(stale);
    }
    this.#entries.set(key, { graph, usedAt: this.#uses });
  }

  remove(key: Key): void {
    this.#entries.get(key)?.graph.dispose();
    this.#entries.delete(key);
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.remove(key);
  }

  #stalest(): Key | undefined {
    const [oldest] = [...this.#entries].sort(([, p], [, q]) => p.usedAt - q.usedAt);
    if (oldest === undefined) return undefined;
    return this.#uses - oldest[1].usedAt > this.#staleAfterUses ? oldest[0] : undefined;
  }
}
