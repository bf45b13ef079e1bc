import type { ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import type { AssignedShard, Round, RoundEffect, RoundTransition } from './round.ts';
import type { Range } from '../../shared/range.ts';

/** Gives waiting shards to workers that have room, those with least to do first; then late ones to who is idle. */
export function dispatchPending(round: Round, nowMs: number): RoundTransition {
  const effects: RoundEffect[] = [];
  for (const shard of round.pending) {
    const { workers, standby: reserve, depth } = round;
    const others = workers.filter((worker) => worker !== shard.avoid);
    const standby = others.length > 0 ? reserve.filter((worker) => worker !== shard.avoid) : reserve;
    // A worker that is busy with a superseded shard may never answer: standby workers do not wait for it.
    const worker = others.some((other) => !round.superseded.some(({ worker }) => worker === other))
      ? leastLoadedWorker(round, workers, depth, shard.avoid)
      : (leastLoadedWorker(round, standby, depth, null) ??
        leastLoadedWorker(round, workers, depth, others.length > 0 ? shard.avoid : null));
    if (worker === undefined) continue;
    const pending = round.pending.filter((other) => other !== shard);
    const [next, effect] = assign({ ...round, pending }, shard, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  for (const shard of round.assigned) {
    if (shard.isDuplicate || shard.stragglerAtMs > nowMs) continue;
    const same = round.assigned.filter((other) => isSameRange(other, shard));
    // Everybody who is counted on for it has to be late.
    if (same.some(({ isDuplicate, stragglerAtMs }) => !isDuplicate && stragglerAtMs > nowMs)) continue;
    const holders = same.map(({ worker }) => worker);
    const others = (workers: readonly WorkerId[]): WorkerId[] =>
      workers.filter((worker) => !holders.includes(worker));
    const worker =
      leastLoadedWorker(round, others(round.workers), 1, null) ?? leastLoadedWorker(round, others(round.standby), 1, null);
    if (worker === undefined) continue;
    const [next, effect] = assign(round, shard, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  return [round, effects];
}

/** When to look next whether a shard is late; null if none will be. */
export function nextStragglerCheckMs({ assigned }: Round, nowMs: number): number | null {
  let soonestMs = Infinity;
  for (const { isDuplicate, stragglerAtMs } of assigned) {
    if (!isDuplicate && stragglerAtMs > nowMs) soonestMs = Math.min(soonestMs, stragglerAtMs);
  }
  return Number.isFinite(soonestMs) ? soonestMs : null;
}

export const isSameRange = (a: Range, b: Range): boolean => a.from === b.from && a.to === b.to;

/**
 * The one of these that holds least, and less than `depth`; whoever is to be avoided only if there is nobody else. Nobody
 * who is busy with a spare shard: newer weights would make it drop that without an answer.
 */
function leastLoadedWorker(
  round: Round,
  among: readonly WorkerId[],
  depth: number,
  avoid: WorkerId | null,
): WorkerId | undefined {
  const load = new Map(among.map((worker) => [worker, 0]));
  for (const { worker } of round.superseded) load.delete(worker);
  for (const { worker } of round.assigned) {
    const held = load.get(worker);
    if (held !== undefined) load.set(worker, held + 1);
  }
  const nobodyElse = among.every((worker) => worker === avoid);
  const [least] = [...load]
    .filter(([worker, held]) => held < depth && (worker !== avoid || nobodyElse))
    .sort(([, a], [, b]) => a - b);
  return least?.[0];
}

/** @param isDuplicate nobody counts on it */
export function assign(
  round: Round,
  { from, to }: Range,
  worker: WorkerId,
  nowMs: number,
  isDuplicate = false,
): readonly [Round, RoundEffect] {
  const stragglerAtMs = nowMs + round.stragglerAfterMs(worker, to - from);
  const shard: AssignedShard = {
    id: round.nextId as ShardId,
    from,
    to,
    worker,
    assignedAtMs: nowMs,
    stragglerAtMs,
    isDuplicate,
  };
  return [
    { ...round, assigned: [...round.assigned, shard], nextId: round.nextId + 1 },
    { type: 'give', shard },
  ];
}
