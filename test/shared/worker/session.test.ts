import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CloseCode, FATAL_CLOSE_CODES } from '../../../shared/protocol/close-codes.ts';
import type { FromCoordinator } from '../../../shared/protocol/messages.ts';
import { frameFromCoordinator } from '../../../shared/protocol/frame.ts';
import {
  advance,
  initialSession,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '../../../shared/worker/session.ts';
import { exampleWelcome, fromWorkerExamples, shardId, step } from '../protocol/examples.ts';
import { checkProperty } from '../../support/property.ts';

const frame = (message: FromCoordinator, payload?: Uint8Array): SessionEvent => ({
  type: 'frame',
  bytes: frameFromCoordinator(message, payload),
});
const welcome = frame(exampleWelcome);
const weights = (k: number) =>
  frame({ type: 'weights', step: step(k), offset: 0 }, new Uint8Array(24).fill(k));
const shard = (id: number, k: number) =>
  frame({ type: 'shard', task: 'train', step: step(k), shard: shardId(id), samples: 1 }, Uint8Array.of(id));
const finished = frame({ type: 'finished', reason: 'The run is finished.' });
const ping = frame({ type: 'ping', id: 4 });
const rejected = frame({ type: 'rejected', step: step(1), shard: shardId(1), code: 4421, reason: 'NaN' });
const garbage: SessionEvent = { type: 'frame', bytes: Uint8Array.of(1, 2, 3) };
const closed = (code: number, reason = ''): SessionEvent => ({ type: 'closed', code, reason });
const loaded: SessionEvent = { type: 'loaded', fingerprint: null };
const computed: SessionEvent = { type: 'computed' };
const leave: SessionEvent = { type: 'leave' };

/** Short description of an effect. */
function describeEffect(effect: SessionEffect): string {
  switch (effect.type) {
    case 'send':
      return `send ${effect.message.type}`;
    case 'setWeights':
      return `weights ${effect.vector.step}`;
    case 'compute':
      return `compute ${effect.shard.message.shard}`;
    case 'prepare':
      return `prepare ${effect.samples.message.step}`;
    case 'keep':
      return `keep ${effect.samples.message.samples}`;
    case 'close':
      return `close ${effect.code}`;
    case 'end':
      return `end ${effect.end.outcome}`;
    case 'load':
    case 'report':
      return effect.type;
  }
}

/** State after some events, and the effects of each event. */
function run(...events: SessionEvent[]): { state: SessionState; effects: string[][] } {
  let state = initialSession;
  const effects = events.map((event) => {
    const [next, done] = advance(state, event);
    state = next;
    return done.map(describeEffect);
  });
  return { state, effects };
}
const lastOf = (...events: SessionEvent[]): string[] => run(...events).effects.at(-1)!;

const phases = {
  greeting: [],
  loading: [welcome],
  working: [welcome, loaded],
  ended: [welcome, loaded, finished],
} as const;

describe('a session', () => {
  it('loads the job of the welcome, then sends ready', () => {
    expect(run(welcome, loaded).effects).toEqual([['load'], ['send ready']]);
    expect(run(welcome, loaded).state.phase).toBe('working');
  });

  it('computes a shard when shard and weights have arrived, in any order', () => {
    expect(run(...phases.working, weights(1), shard(10, 1)).effects.slice(2)).toEqual([
      ['weights 1'],
      ['compute 10'],
    ]);
    expect(run(...phases.working, shard(10, 1), weights(1)).effects.slice(2)).toEqual([
      [],
      ['weights 1', 'compute 10'],
    ]);
  });

  it('passes on the payload of a shard', () => {
    const { state } = run(...phases.working, weights(1));
    const [, effects] = advance(state, shard(10, 1));
    expect(effects).toMatchObject([{ type: 'compute', shard: { message: { shard: 10 } } }]);
    const [effect] = effects;
    expect(effect?.type === 'compute' && [...effect.shard.samples.payload]).toEqual([10]);
  });

  it('computes one shard at a time, in the order of arrival', () => {
    const events = [...phases.working, weights(1), shard(10, 1), shard(11, 1), shard(12, 1)];
    expect(run(...events).effects.slice(3)).toEqual([['compute 10'], [], []]);
    expect(run(...events, computed, computed, computed).effects.slice(6)).toEqual([
      ['compute 11'],
      ['compute 12'],
      [],
    ]);
  });

  it('keeps only the newest weights until the engine is idle', () => {
    const busy = [...phases.working, weights(1), shard(10, 1)];
    expect(run(...busy, weights(2), weights(3), shard(11, 3)).effects.slice(4)).toEqual([[], [], []]);
    expect(lastOf(...busy, weights(2), weights(3), shard(11, 3), computed)).toEqual([
      'weights 3',
      'compute 11',
    ]);
  });

  it('drops shards of older steps', () => {
    const busy = [...phases.working, weights(1), shard(10, 1)];
    const { state, effects } = run(...busy, shard(11, 1), weights(2), shard(12, 2), computed);
    expect(effects.at(-1)).toEqual(['weights 2', 'compute 12']);
    expect(state.shards).toEqual([]);
    expect(lastOf(...phases.working, weights(5), shard(10, 4))).toEqual([]);
  });

  it('keeps shards of a later step until its weights arrive', () => {
    const { state, effects } = run(...phases.working, weights(1), shard(20, 2), shard(10, 1));
    expect(effects.slice(-2)).toEqual([[], ['compute 10']]);
    expect(advance(state, computed)[1]).toEqual([]);
    expect(lastOf(...phases.working, weights(1), shard(20, 2), weights(2))).toEqual([
      'weights 2',
      'compute 20',
    ]);
  });

  it('reports that it is on standby, and that it is active again', () => {
    const reports = [true, false].map((standby) => {
      const [, effects] = advance(initialSession, {
        type: 'frame',
        bytes: frameFromCoordinator({ type: 'standby', standby, reason: 'Why.' }),
      });
      return effects;
    });
    expect(reports).toEqual([
      [{ type: 'report', line: 'Standby: Why.', standby: { onStandby: true, reason: 'Why.' } }],
      [
        {
          type: 'report',
          line: 'Active again: Why.',
          standby: { onStandby: false, reason: 'Why.' },
        },
      ],
    ]);
  });

  it('answers a ping and reports a rejection in every phase before the end', () => {
    for (const phase of ['greeting', 'loading', 'working'] as const) {
      expect(lastOf(...phases[phase], ping)).toEqual(['send pong']);
      expect(lastOf(...phases[phase], rejected)).toEqual(['report']);
      expect(run(...phases[phase], ping, rejected).state).toEqual(run(...phases[phase]).state);
    }
    const [, effects] = advance(initialSession, ping);
    expect(effects).toEqual([{ type: 'send', message: { type: 'pong', id: 4 } }]);
  });

  it.each(['greeting', 'loading', 'working'] as const)(
    'ends in the phase %s after finished, leave and close',
    (phase) => {
      expect(lastOf(...phases[phase], finished)).toEqual(['end finished']);
      expect(lastOf(...phases[phase], leave)).toEqual(['send leaving', 'end left']);
      expect(lastOf(...phases[phase], closed(1006))).toEqual(['end lost']);
      expect(run(...phases[phase], finished).state.phase).toBe('ended');
    },
  );

  it('is refused after a fatal close code and lost after all others', () => {
    for (const code of [...Object.values(CloseCode), 1001, 1006, 1009, 4999]) {
      const outcome = FATAL_CLOSE_CODES.has(code) ? 'refused' : 'lost';
      expect(lastOf(welcome, closed(code))).toEqual([`end ${outcome}`]);
    }
  });

  it('ends with the close reason, or with the close code if there is no reason', () => {
    expect(advance(initialSession, closed(4401, 'Wrong token.'))[1]).toEqual([
      { type: 'end', end: { outcome: 'refused', reason: 'Wrong token.', code: CloseCode.unauthorized } },
    ]);
    expect(advance(initialSession, closed(1006))[1]).toEqual([
      { type: 'end', end: { outcome: 'lost', reason: 'connection closed (1006)', code: 1006 } },
    ]);
  });

  it('closes with the matching code on malformed and unexpected messages and on another version', () => {
    expect(lastOf(garbage)).toEqual([`close ${CloseCode.malformed}`]);
    expect(lastOf(welcome, welcome)).toEqual([`close ${CloseCode.unexpected}`]);
    expect(lastOf(...phases.working, welcome)).toEqual([`close ${CloseCode.unexpected}`]);
    expect(lastOf(frame({ ...exampleWelcome, protocol: 3 }))).toEqual([`close ${CloseCode.unsupported}`]);
    for (const early of [weights(1), shard(10, 1)]) {
      expect(lastOf(early)).toEqual([`close ${CloseCode.unexpected}`]);
      expect(lastOf(welcome, early)).toEqual([`close ${CloseCode.unexpected}`]);
    }
  });

  it('closes the connection on messages of the other direction', () => {
    for (const message of fromWorkerExamples) {
      expect(lastOf(frame(message as never))).toEqual([`close ${CloseCode.malformed}`]);
    }
  });

  it('has no effects after its end', () => {
    const events = [
      welcome,
      loaded,
      computed,
      leave,
      ping,
      weights(1),
      shard(1, 1),
      finished,
      garbage,
      closed(1006),
    ];
    for (const event of events) {
      const { state } = run(...phases.ended);
      expect(advance(state, event)).toEqual([state, []]);
    }
  });
});

describe('any sequence of events', () => {
  const event = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }).map(weights) },
    {
      weight: 4,
      arbitrary: fc.tuple(fc.nat(99), fc.integer({ min: 0, max: 4 })).map(([id, k]) => shard(id, k)),
    },
    { weight: 3, arbitrary: fc.constant(computed) },
    { weight: 1, arbitrary: fc.constantFrom(welcome, loaded, ping, rejected, garbage) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes): SessionEvent => ({ type: 'frame', bytes })),
    },
  );
  const ending = fc.constantFrom(leave, finished, closed(1006), closed(4400));

  it('never throws, and computes one shard at a time with the weights of its step', () => {
    checkProperty(
      fc.property(fc.array(event, { maxLength: 30 }), fc.option(ending), (events, end) => {
        let state = run(...phases.working).state;
        let computing = false;
        let weightsStep: number | null = null;
        for (const each of [...events, ...(end === null ? [] : [end]), ...events]) {
          if (each.type === 'computed') computing = false;
          const [next, effects] = advance(state, each);
          for (const effect of effects) {
            if (effect.type === 'setWeights') {
              if (computing) return false;
              weightsStep = effect.vector.step;
            }
            if (effect.type === 'compute') {
              if (computing || effect.shard.message.step !== weightsStep) return false;
              computing = true;
            }
          }
          if (next.phase !== 'ended' && (next.busy !== computing || next.weightsStep !== weightsStep))
            return false;
          state = next;
        }
        return end === null || state.phase === 'ended';
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  it('never idles with a shard that can be computed', () => {
    checkProperty(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        const { state } = run(...phases.working, ...events);
        return state.busy || !state.shards.some(({ message }) => message.step === state.weightsStep);
      }),
      { seed: 2, numRuns: 500 },
    );
  });
});
