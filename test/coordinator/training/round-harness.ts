import {
  advanceRound,
  startRound,
  type Round,
  type RoundEffect,
  type RoundEvent,
  type RoundStart,
} from '../../../coordinator/training/round.ts';
import { evenSplit } from '../../../coordinator/scheduling/partition.ts';
import type { ShardId, WorkerId } from '../../../shared/protocol/messages.ts';

export const id = (name: string): WorkerId => name as WorkerId;
export const [ann, bob, cyd] = [id('ann'), id('bob'), id('cyd')];

export const start = (samples: number, workers: WorkerId[], more: Partial<RoundStart> = {}): RoundStart => ({
  samples,
  workers,
  assignments: evenSplit(samples, workers),
  pending: workers.length > 0 ? [] : [{ from: 0, to: samples }],
  depth: 1,
  nextId: 0,
  ...more,
});
/** Labels such as '0: [0, 4) to ann', for comparison. */
export const effectLabels = (effects: readonly RoundEffect[]): string[] =>
  effects.map((effect) =>
    effect.type === 'complete'
      ? 'complete'
      : `${effect.shard.id}: [${effect.shard.from}, ${effect.shard.to}) to ${effect.shard.worker}`,
  );

/** Starts a round and advances it by events. @returns labels of the effects of the start and of each event */
export function play(from: RoundStart, ...events: RoundEvent[]): { round: Round; effects: string[][] } {
  const [started, first] = startRound(from, 0);
  const effects = [effectLabels(first)];
  let round = started;
  for (const event of events) {
    const [next, changes] = advanceRound(round, event, 0);
    round = next;
    effects.push(effectLabels(changes));
  }
  return { round, effects };
}
export const answered = (shard: number): RoundEvent => ({ type: 'answered', shard: shard as ShardId });
export const failed = (shard: number): RoundEvent => ({ type: 'failed', shard: shard as ShardId });
export const left = (worker: WorkerId): RoundEvent => ({ type: 'left', worker });
export const tick: RoundEvent = { type: 'tick' };
export const joined = (worker: WorkerId): RoundEvent => ({ type: 'joined', worker });
