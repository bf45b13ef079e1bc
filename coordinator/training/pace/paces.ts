import type { EngineInfo, WorkerId } from '../../../shared/protocol/messages.ts';
import { forecastMs, PaceEstimate, type Pace } from './pace.ts';

interface Known {
  readonly estimate: PaceEstimate;
  readonly kind: string;
  /** Clearly slower or faster than the others of its kind. */
  apart: boolean;
  /** How many answers in a row say the opposite. */
  contrary: number;
}

/** A worker leaves its kind when it differs so much, and comes back when it differs less than that. */
const LEAVES_AT = 1.25;
const RETURNS_AT = 1.12;
const IN_A_ROW = 3;
/** Before so many answers nobody is judged. */
const ANSWERS = 8;
/** Paces are compared by shards of this size. */
const COMMON_SIZE = 32;

/**
 * The paces of all workers. Those with the same engine on the same device are one kind and have one pace, the median's,
 * until one is clearly different for several answers: noise must not decide who gets how much.
 */
export class Paces {
  readonly #known = new Map<WorkerId, Known>();
  /** Of each kind, since the last step. */
  readonly #common = new Map<string, Pace | null>();

  observe(worker: WorkerId, engine: EngineInfo, samples: number, elapsedMs: number): void {
    let known = this.#known.get(worker);
    if (known === undefined) {
      known = { estimate: new PaceEstimate(), kind: kindOf(engine), apart: false, contrary: 0 };
      this.#known.set(worker, known);
    }
    known.estimate.observe(samples, elapsedMs);
    this.#judge(known);
  }

  /** What was learnt of this worker does not hold any more. */
  forget(worker: WorkerId): void {
    this.#known.delete(worker);
    this.#common.clear();
  }

  /** null until enough is known of this worker. */
  paceOf(worker: WorkerId): Pace | null {
    const known = this.#known.get(worker);
    const own = known?.estimate.pace ?? null;
    return known === undefined || own === null || known.apart ? own : (this.#paceOfKind(known.kind) ?? own);
  }

  /** The median worker's forecast; null if no pace is known. */
  typicalMs(samples: number): number | null {
    const forecasts = [...this.#known.values()].flatMap(({ estimate: { pace } }) =>
      pace === null ? [] : [forecastMs(pace, samples)],
    );
    return forecasts.sort((a, b) => a - b)[(forecasts.length - 1) >> 1] ?? null;
  }

  /** A new step begins, with these workers; everybody else is forgotten. */
  begin(workers: { has(worker: WorkerId): boolean }): void {
    this.#common.clear();
    for (const worker of this.#known.keys()) if (!workers.has(worker)) this.#known.delete(worker);
  }

  #judge(known: Known): void {
    const { estimate, kind, apart } = known;
    const common = this.#paceOfKind(kind);
    if (estimate.pace === null || common === null || estimate.answers < ANSWERS) return;
    const ratio = forecastMs(estimate.pace, estimate.size) / forecastMs(common, estimate.size);
    const difference = Math.max(ratio, 1 / ratio);
    const contrary = apart ? difference < RETURNS_AT : difference > LEAVES_AT;
    known.contrary = contrary ? known.contrary + 1 : 0;
    if (known.contrary < IN_A_ROW) return;
    known.apart = !apart;
    known.contrary = 0;
  }

  /** The median's of those that are not apart. */
  #paceOfKind(kind: string): Pace | null {
    const held = this.#common.get(kind);
    if (held !== undefined) return held;
    const paces = [...this.#known.values()].flatMap(({ estimate: { pace }, ...known }) =>
      known.kind === kind && !known.apart && pace !== null ? [pace] : [],
    );
    paces.sort((a, b) => forecastMs(a, COMMON_SIZE) - forecastMs(b, COMMON_SIZE));
    const common = paces[(paces.length - 1) >> 1] ?? null;
    this.#common.set(kind, common);
    return common;
  }
}

const kindOf = ({ backend, version, device, threads }: EngineInfo): string =>
  JSON.stringify([backend, version, device, threads]);
