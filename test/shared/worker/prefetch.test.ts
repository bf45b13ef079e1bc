import { describe, expect, it } from 'vitest';
import {
  advance,
  initialSession,
  type SessionEffect,
  type SessionEvent,
} from '../../../shared/worker/session.ts';
import { frameFromCoordinator } from '../../../shared/protocol/parse.ts';
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

/** The effects of the last of some events of a session that is ready. */
function effectsOf(...events: SessionEvent[]): readonly SessionEffect[] {
  let state = initialSession;
  let effects: readonly SessionEffect[] = [];
  for (const event of [...ready, ...events]) [state, effects] = advance(state, event);
  return effects;
}

describe('samples that are sent ahead', () => {
  it('are prepared at once by a worker that is waiting', () => {
    expect(effectsOf(prefetch(1))).toMatchObject([{ type: 'prepare', samples: { step: 1, samples: 1 } }]);
  });

  it('are prepared after the shard at hand by one that computes', () => {
    const full = frame(
      { type: 'shard', task: 'train', step: step(0), shard: shardId(8), samples: 1 },
      samples,
    );
    expect(effectsOf(weights(0), full, prefetch(1))).toEqual([]);
    expect(effectsOf(weights(0), full, prefetch(1), { type: 'computed' })).toMatchObject([
      { type: 'prepare' },
    ]);
  });

  it('are those of the shard that comes without any', () => {
    const [compute] = effectsOf(prefetch(1), weights(1), shard(1));
    expect(compute).toMatchObject({ type: 'compute', shard: { message: { shard: 9 } } });
    expect(compute?.type === 'compute' && [...compute.shard.payload]).toEqual([...samples]);
  });

  it.each([
    ['none were sent', [weights(1), shard(1)]],
    ['those sent were for another step', [prefetch(1), weights(2), shard(2)]],
    ['those sent were another number', [prefetch(1), weights(1), shard(1, 2)]],
  ])('must be there: the session is closed as malformed where %s', (_, events) => {
    expect(effectsOf(...events)).toMatchObject([{ type: 'close', code: 4400 }]);
  });

  it('do not matter where the shard brings its own', () => {
    const own = Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9);
    const full = frame({ type: 'shard', task: 'train', step: step(1), shard: shardId(9), samples: 1 }, own);
    const [compute] = effectsOf(prefetch(1), weights(1), full);
    expect(compute?.type === 'compute' && [...compute.shard.payload]).toEqual([...own]);
  });
});
