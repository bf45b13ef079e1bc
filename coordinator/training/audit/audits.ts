import type { ShardId, WorkerId } from '../../../shared/protocol/messages.ts';
import type { GivenShard } from '../round.ts';
import type { Range } from '../../../shared/range.ts';
import type { Assignment } from '../schedule.ts';
import { disagree, type AuditedAnswer } from './difference.ts';
import { Suspicions } from './suspicions.ts';

export interface AuditOptions {
  /** Of the shards, 0 to 1. */
  readonly fraction: number;
  /** In [0, 1): nobody shall know which shard is audited. */
  readonly random: () => number;
  /** A worker has been found wrong by these others. */
  readonly onWrong: (worker: WorkerId, by: readonly WorkerId[]) => void;
  /** Two differ, and one of them must be wrong. */
  readonly onDispute: (a: WorkerId, b: WorkerId) => void;
}

/** A shard that several workers compute. */
interface Audit {
  readonly samples: number;
  readonly answers: Map<WorkerId, AuditedAnswer>;
}

interface Expected {
  readonly worker: WorkerId;
  readonly audit: Audit;
  /** As they came, ahead of the rest. */
  readonly pieces: { readonly at: number; readonly values: Float32Array }[];
}

/** Has some shards computed twice, compares the answers, and finds out who is wrong. */
export class Audits {
  readonly #options: AuditOptions;
  readonly #suspicions = new Suspicions();
  /** Shards of each worker until one is audited. */
  readonly #countdown = new Map<WorkerId, number>();
  /** Of this step, by their ranges. */
  readonly #audits = new Map<string, Audit>();
  readonly #expected = new Map<ShardId, Expected>();

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  /**
   * Begins a step.
   * @param assignments its shards
   * @param copies that are given anyway; they are compared too
   * @param auditors who may be given a copy
   * @returns the copies that are to be given besides
   */
  choose(
    assignments: readonly Assignment[],
    copies: readonly Assignment[],
    auditors: readonly WorkerId[],
  ): Assignment[] {
    this.#audits.clear();
    const taken = new Set(copies.map(({ worker }) => worker));
    const chosen: Assignment[] = [];
    for (const assignment of assignments) {
      if (!this.#isDue(assignment.worker)) continue;
      const heard = this.#suspicions.against(assignment.worker);
      const others = auditors.filter((id) => id !== assignment.worker && !taken.has(id) && !heard.has(id));
      const unsuspected = others.filter((id) => !this.#suspicions.isSuspect(id));
      const auditor = this.#oneOf(unsuspected.length > 0 ? unsuspected : others);
      if (auditor === undefined) continue;
      taken.add(auditor);
      this.#countdown.delete(assignment.worker);
      chosen.push({ ...assignment, worker: auditor });
    }
    for (const { from, to } of [...copies, ...chosen]) {
      this.#audits.set(keyOf({ from, to }), { samples: to - from, answers: new Map() });
    }
    return chosen;
  }

  /** A shard of this step was given to somebody. */
  given({ id, worker, ...range }: GivenShard): void {
    const audit = this.#audits.get(keyOf(range));
    if (audit !== undefined) this.#expected.set(id, { worker, audit, pieces: [] });
  }

  /** Whether the answer to this shard is to be compared. */
  wants(shard: ShardId): boolean {
    return this.#expected.has(shard);
  }

  /** Where that starts which has been heard of a shard's tail; null if that is nothing. */
  heardFrom(shard: ShardId): number | null {
    return this.#expected.get(shard)?.pieces.at(-1)?.at ?? null;
  }

  /** @param at where these values start in the flat vector */
  tail(shard: ShardId, values: Float32Array, at: number): void {
    this.#expected.get(shard)?.pieces.push({ at, values: values.slice() });
  }

  /** @param gradient whole, or what was not in the tail */
  answered(shard: ShardId, lossSum: number, gradient: Float32Array): void {
    const expected = this.#expected.get(shard);
    if (expected === undefined) return;
    this.#expected.delete(shard);
    const { worker, audit, pieces } = expected;
    const whole = joined([{ at: 0, values: gradient }, ...pieces.reverse()]);
    // A head of whose tail not all has been heard compares with nothing.
    if (whole === null) return;
    const answer = { lossSum, gradient: whole };
    const before = [...audit.answers];
    audit.answers.set(worker, answer);
    for (const [other, theirs] of before) {
      if (theirs.gradient.length !== answer.gradient.length) continue;
      if (disagree(answer, theirs, audit.samples)) {
        if (this.#disagreed(worker, other)) return;
      } else this.#suspicions.agreed(worker, other);
    }
  }

  failed(shard: ShardId): void {
    this.#expected.delete(shard);
  }

  /** What it has answered proves nothing any more. */
  left(worker: WorkerId): void {
    this.#suspicions.forget(worker);
    this.#countdown.delete(worker);
    for (const { answers } of this.#audits.values()) answers.delete(worker);
    for (const [id, { worker: other, audit }] of this.#expected) {
      audit.answers.delete(worker);
      if (other === worker) this.#expected.delete(id);
    }
  }

  /** @returns whether that has ended a membership */
  #disagreed(a: WorkerId, b: WorkerId): boolean {
    const known = this.#suspicions.against(a).has(b);
    const wrong = this.#suspicions.disagreed(a, b);
    if (wrong !== null) this.#options.onWrong(wrong, [...this.#suspicions.against(wrong)]);
    else if (!known) this.#options.onDispute(a, b);
    return wrong !== null;
  }

  /** Once in so many shards on average, no sooner or later than that by more than itself; suspects at once. */
  #isDue(worker: WorkerId): boolean {
    const { fraction, random } = this.#options;
    const count = this.#countdown.get(worker) ?? 1 + Math.floor(random() * (2 / fraction - 1));
    this.#countdown.set(worker, Math.max(1, count - 1));
    return count <= 1 || this.#suspicions.isSuspect(worker);
  }

  #oneOf(workers: readonly WorkerId[]): WorkerId | undefined {
    return workers[Math.floor(this.#options.random() * workers.length)];
  }
}

const keyOf = ({ from, to }: Range): string => `${from} ${to}`;

/** @param parts from the front to the back; null if they do not join */
function joined(parts: Expected['pieces']): Float32Array | null {
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) return first?.values.slice() ?? null;
  const whole = new Float32Array(parts.reduce((sum, { values }) => sum + values.length, 0));
  let end = 0;
  for (const { at, values } of parts) {
    if (at !== end) return null;
    whole.set(values, at);
    end += values.length;
  }
  return whole;
}
