/** Entry of a cache, disposed of when it is removed. */
export interface Disposable {
  dispose(): void;
}

/**
 * Cache of a bounded number of graphs by key. A full cache replaces the least recently used graph, but only if it is stale:
 * otherwise too many sizes in turn would be captured again and again.
 */
export class GraphCache<Key, T extends Disposable> {
  readonly #capacity: number;
  readonly #staleAfterUses: number;
  readonly #entries = new Map<Key, { readonly graph: T; usedAt: number }>();
  #uses = 0;

  constructor(capacity: number, staleAfterUses: number) {
    this.#capacity = capacity;
    this.#staleAfterUses = staleAfterUses;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** Counts as a use, even if there is no graph. */
  get(key: Key): T | undefined {
    this.#uses++;
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    entry.usedAt = this.#uses;
    return entry.graph;
  }

  /** Whether a graph can be added now. */
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
