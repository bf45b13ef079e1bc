import { errorMessage } from '../../../shared/util/error-message.ts';
import type { Job } from '../../../shared/model/job.ts';
import { GraphCache } from './graph-cache.ts';
import type { IdleScheduler } from './idle-scheduler.ts';
import type { GraphKind, StepGraph } from './step-capture.ts';

/** Sizes of shards that have a graph of their own, for each kind of graph; each graph has its session's memory. */
const MAX_GRAPHS = 6;
/** A size that was not seen for so many shards gives its place to another. */
const STALE_AFTER_SHARDS = 100;

/** How the sentence starts that says why there is none. */
const FALLBACK_TEXT: Record<GraphKind, string> = {
  gradient: 'The gradient runs op by op',
  added: 'The sum of two gradients runs op by op',
  cut: 'A shard runs micro-shard by micro-shard',
  factored: 'The gradient runs op by op',
  logits: 'Evaluation runs op by op',
};

/** What only makes exact gradients quicker, and no difference to their bits. */
const OPTIONAL_KINDS: ReadonlySet<GraphKind> = new Set(['added', 'cut']);

export interface CaptureOptions {
  /** When to capture: while nobody waits. */
  readonly idle: IdleScheduler;
  /** Hears why a computation stays op by op; a sentence. */
  readonly note: (line: string) => void;
}

export interface GraphSource {
  /**
   * For 'added' and 'cut' there are the graphs of 'gradient' already.
   * @throws Error with a phrase that says why there is no such graph
   */
  readonly capture: (kind: GraphKind, samples: number) => StepGraph;
  /** Whether, in exact mode, each size of gradients has a graph that adds as well. */
  readonly accumulates: boolean;
}

/** The graphs of a job, by kind and size of the shard: captured when nobody waits, in exact mode before they are used. */
export class StepGraphs {
  readonly #options: CaptureOptions;
  readonly #source: GraphSource;
  /** A graph's bits are not those of the same ops one by one: where bits matter, nothing is computed without one. */
  readonly #exact: boolean;
  readonly #graphs: Record<GraphKind, GraphCache<number, StepGraph>> = {
    gradient: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    added: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    cut: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    factored: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    logits: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
  };
  readonly #disabled = new Set<GraphKind>();
  readonly #pending = new Set<string>();
  #disposed = false;

  constructor(job: Job, options: CaptureOptions, source: GraphSource) {
    this.#exact = job.microShard !== undefined;
    this.#options = options;
    this.#source = source;
  }

  /** Counts as a use, whether or not there is one. */
  get(kind: GraphKind, samples: number): StepGraph | undefined {
    if (this.#isRequired(kind) && !this.#graphs[kind].has(samples)) this.#capture(kind, samples);
    return this.#graphs[kind].get(samples);
  }

  /** Called when a shard is computed without: the next ones of its size shall have a graph. */
  request(kind: GraphKind, samples: number): void {
    const key = `${kind} ${samples}`;
    const waits = this.#pending.has(key);
    if (this.#isRequired(kind) || waits || this.#disabled.has(kind) || !this.#graphs[kind].canAdd) return;
    this.#pending.add(key);
    this.#options.idle.schedule(() => {
      this.#pending.delete(key);
      this.#capture(kind, samples);
    });
  }

  /** No more graphs of this kind. */
  disable(kind: GraphKind, error: unknown): void {
    this.#disabled.add(kind);
    this.#graphs[kind].clear();
    const why = errorMessage(error);
    this.#options.note(`${FALLBACK_TEXT[kind]}, as it cannot be captured as a graph: ${why}.`);
  }

  dispose(): void {
    this.#disposed = true;
    for (const cache of Object.values(this.#graphs)) cache.clear();
  }

  /** Where bits matter, a graph is captured before its size's first use. */
  #isRequired(kind: GraphKind): boolean {
    return this.#exact && !OPTIONAL_KINDS.has(kind);
  }

  #capture(kind: GraphKind, samples: number): void {
    if (this.#disposed || this.#disabled.has(kind) || !this.#graphs[kind].canAdd) return;
    try {
      const graph = this.#source.capture(kind, samples);
      this.#graphs[kind].add(samples, graph);
      if (kind === 'gradient' && this.#source.accumulates) this.#capture('added', samples);
    } catch (error) {
      this.disable(kind, error);
    }
  }
}
