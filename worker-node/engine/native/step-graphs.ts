import { errorMessage } from '../../../shared/util/error-message.ts';
import type { Job } from '../../../shared/model/job.ts';
import { GraphCache } from './graph-cache.ts';
import type { IdleScheduler } from './idle-scheduler.ts';
import type { GraphKind, StepGraph } from './step-capture.ts';

/** Graphs of each kind, one for each size of shards; each graph takes the memory of a session. */
const MAX_GRAPHS = 6;
/** Shards after which an unused graph may be replaced. */
const STALE_AFTER_SHARDS = 100;

/** Start of the sentence that says why there is no graph. */
const FALLBACK_TEXT: Record<GraphKind, string> = {
  gradient: 'The gradient runs op by op',
  added: 'The sum of two gradients runs op by op',
  cut: 'A shard runs micro-shard by micro-shard',
  factored: 'The gradient runs op by op',
  outputs: 'Evaluation runs op by op',
};

/** Kinds that make exact gradients faster, with the same bits. */
const OPTIONAL_KINDS: ReadonlySet<GraphKind> = new Set(['added', 'cut']);

export interface CaptureOptions {
  /** Schedules captures for times when no answer is awaited. */
  readonly idle: IdleScheduler;
  /** Receives a sentence that says why a computation runs op by op. */
  readonly note: (line: string) => void;
}

export interface GraphSource {
  /**
   * Captures a graph. For 'added' and 'cut' the graphs of 'gradient' exist already.
   * @throws Error with a phrase that says why there is no such graph
   */
  readonly capture: (kind: GraphKind, samples: number) => StepGraph;
  /** Whether each graph of 'gradient' has one of 'added'. */
  readonly accumulates: boolean;
}

/** Graphs of a job by kind and size of the shard: captured when no answer is awaited, in exact mode before their first use. */
export class StepGraphs {
  readonly #options: CaptureOptions;
  readonly #source: GraphSource;
  /** A graph may have other bits than the same ops one by one, so exact mode computes nothing without a graph. */
  readonly #exact: boolean;
  readonly #graphs: Record<GraphKind, GraphCache<number, StepGraph>> = {
    gradient: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    added: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    cut: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    factored: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
    outputs: new GraphCache(MAX_GRAPHS, STALE_AFTER_SHARDS),
  };
  readonly #disabled = new Set<GraphKind>();
  readonly #pending = new Set<string>();
  #disposed = false;

  constructor(job: Job, options: CaptureOptions, source: GraphSource) {
    this.#exact = job.microShard !== undefined;
    this.#options = options;
    this.#source = source;
  }

  /** Counts as a use, even if there is no graph. */
  get(kind: GraphKind, samples: number): StepGraph | undefined {
    if (this.#isRequired(kind) && !this.#graphs[kind].has(samples)) this.#capture(kind, samples);
    return this.#graphs[kind].get(samples);
  }

  /** Schedules the capture of a graph, after a shard of this size was computed without one. */
  request(kind: GraphKind, samples: number): void {
    const key = `${kind} ${samples}`;
    const isPending = this.#pending.has(key);
    if (this.#isRequired(kind) || isPending || this.#disabled.has(kind) || !this.#graphs[kind].canAdd) return;
    this.#pending.add(key);
    this.#options.idle.schedule(() => {
      this.#pending.delete(key);
      this.#capture(kind, samples);
    });
  }

  /** Disables graphs of a kind. */
  disable(kind: GraphKind, error: unknown): void {
    this.#disabled.add(kind);
    this.#graphs[kind].clear();
    const why = errorMessage(error);
    this.#options.note(`${FALLBACK_TEXT[kind]}, because it cannot be captured as a graph: ${why}.`);
  }

  dispose(): void {
    this.#disposed = true;
    for (const cache of Object.values(this.#graphs)) cache.clear();
  }

  /** Whether a graph must be captured before the first use of its size. */
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
