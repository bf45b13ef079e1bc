import { describe, expect, it } from 'vitest';
import {
  advance,
  initialSession,
  type SessionEffect,
  type SessionEvent,
} from '../../../shared/worker/session.ts';
import { frameFromCoordinator } from '../../../shared/protocol/frame.ts';
import type { FromCoordinator } from '../../../shared/protocol/messages.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';

const frame = (message: FromCoordinator, payload?: Uint8Array): SessionEvent => ({
  type: 'frame',
  bytes: frameFromCoordinator(message, payload),
});
const samples = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const ready = [frame(exampleWelcome), { type: 'loaded', fingerprint: null }] as const;
const weights = (k: number): SessionEvent =>
  frame({ type: 'weights', step: step(k), offset: 0 }, new Uint8Array(24));
const prefetch = (k: number): SessionEvent => frame({ type: 'prefetch', step: step(k), samples: 1 }, samples);
const shard = (k: number, count = 1): SessionEvent =>
  frame({ type: 'shard', task: 'train', step: step(k), shard: shardId(9), samples: count });

/** Effects of the last event in a session that is ready. */
function effectsOf(...events: SessionEvent[]): readonly SessionEffect[] {
  let state = initialSession;
  let effects: readonly SessionEffect[] = [];
  for (const event of [...ready, ...events]) [state, effects] = advance(state, event);
  return effects;
}

describe('prefetched samples', () => {
  it('are prepared immediately by an idle worker', () => {
    expect(effectsOf(prefetch(1))).toMatchObject([
      { type: 'prepare', samples: { message: { step: 1, samples: 1 } } },
    ]);
  });

  it('are prepared by a busy worker after its shard', () => {
    const full = frame(
      { type: 'shard', task: 'train', step: step(0), shard: shardId(8), samples: 1 },
      samples,
    );
    expect(effectsOf(weights(0), full, prefetch(1))).toEqual([]);
    expect(effectsOf(weights(0), full, prefetch(1), { type: 'computed' })).toMatchObject([
      { type: 'prepare' },
    ]);
  });

  it('are the samples of a shard without a payload', () => {
    const [compute] = effectsOf(prefetch(1), weights(1), shard(1));
    expect(compute).toMatchObject({ type: 'compute', shard: { message: { shard: 9 } } });
    expect(compute?.type === 'compute' && [...compute.shard.samples.payload]).toEqual([...samples]);
  });

  it.each([
    ['nothing was prefetched', [weights(1), shard(1)]],
    ['they are for another step', [prefetch(1), weights(2), shard(2)]],
    ['their number differs', [prefetch(1), weights(1), shard(1, 2)]],
  ])('must match a shard without a payload: the session is closed as malformed if %s', (_, events) => {
    expect(effectsOf(...events)).toMatchObject([{ type: 'close', code: 4400 }]);
  });

  it('are ignored if the shard has a payload', () => {
    const own = Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9);
    const full = frame({ type: 'shard', task: 'train', step: step(1), shard: shardId(9), samples: 1 }, own);
    const [compute] = effectsOf(prefetch(1), weights(1), full);
    expect(compute?.type === 'compute' && [...compute.shard.samples.payload]).toEqual([...own]);
  });
});
