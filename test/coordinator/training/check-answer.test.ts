import { describe, expect, it } from 'vitest';
import { Rooms } from '../../../coordinator/training/rooms.ts';
import { readAnswer } from '../../../coordinator/training/check-answer.ts';
import type { GivenShard } from '../../../coordinator/training/round.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-code.ts';
import type { ShardAnswer, WorkerId } from '../../../shared/protocol/messages.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';

const shard: GivenShard = {
  id: shardId(5),
  worker: 'ann' as WorkerId,
  from: 32,
  to: 64,
  givenAtMs: 0,
  lateAtMs: Infinity,
  copy: false,
};
const gradient: ShardAnswer = {
  type: 'gradient',
  step: step(1),
  shard: shardId(5),
  samples: 32,
  lossSum: 70.5,
  correct: 32,
  computeMs: 3,
};
const rooms = new Rooms();
const payloadOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const good = payloadOf(1, -2, 3);

function refusal(answer: ShardAnswer, payload: Uint8Array): ProtocolError | null {
  try {
    readAnswer(answer, payload, shard, 'float32', 3, rooms);
    return null;
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

describe('readAnswer', () => {
  it('reads the gradient of an answer that is in order', () => {
    expect(readAnswer(gradient, good, shard, 'float32', 3, rooms)).toEqual({
      values: Float32Array.of(1, -2, 3),
      norm: Math.sqrt(14),
    });
    const nothing = { ...gradient, lossSum: 0, correct: 0 };
    expect(readAnswer(nothing, good, shard, 'float32', 3, rooms).values).toHaveLength(3);
  });

  it('reads nothing from an evaluation', () => {
    const evaluation = { ...gradient, type: 'evaluation' } as const;
    expect(readAnswer(evaluation, new Uint8Array(0), shard, 'float32', 3, rooms).values).toHaveLength(0);
  });

  it.each([
    ['for fewer samples', { ...gradient, samples: 31 }, good, CloseCode.unknownSamples],
    ['for more samples', { ...gradient, samples: 33 }, good, CloseCode.unknownSamples],
    ['with more correct than samples', { ...gradient, correct: 33 }, good, CloseCode.notFinite],
    ['with a loss of NaN', { ...gradient, lossSum: NaN }, good, CloseCode.notFinite],
    ['with an infinite loss', { ...gradient, lossSum: Infinity }, good, CloseCode.notFinite],
    ['with a loss that no logits give', { ...gradient, lossSum: 1.7e308 }, good, CloseCode.notFinite],
    ['with a negative loss', { ...gradient, lossSum: -1e-9 }, good, CloseCode.notFinite],
    ['with a short gradient', gradient, payloadOf(1, 2), CloseCode.wrongLength],
    ['with a long gradient', gradient, payloadOf(1, 2, 3, 4), CloseCode.wrongLength],
    ['with half a value', gradient, good.subarray(0, 11), CloseCode.wrongLength],
    ['without a gradient', gradient, new Uint8Array(0), CloseCode.wrongLength],
    ['with NaN in its gradient', gradient, payloadOf(1, NaN, 3), CloseCode.notFinite],
    ['with infinity in its gradient', gradient, payloadOf(1, 2, -Infinity), CloseCode.notFinite],
    ['that evaluates with a payload', { ...gradient, type: 'evaluation' }, good, CloseCode.wrongLength],
    [
      'that evaluates with a loss of NaN',
      { ...gradient, type: 'evaluation', lossSum: NaN },
      new Uint8Array(0),
      CloseCode.notFinite,
    ],
  ] as const)('refuses an answer %s', (_, answer, payload, code) => {
    expect(refusal(answer, payload)?.code).toBe(code);
  });

  it('says which shard and what is wrong with it', () => {
    expect(refusal({ ...gradient, samples: 31 }, good)?.message).toBe(
      'Shard 5 has 32 samples; the answer is for 31.',
    );
  });
});
