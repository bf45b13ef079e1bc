import { describe, expect, it } from 'vitest';
import { BufferPool } from '../../../coordinator/weights/buffer-pool.ts';
import { decodeAnswer } from '../../../coordinator/training/decode-answer.ts';
import type { AssignedShard } from '../../../coordinator/scheduling/partition.ts';
import { CODECS } from '../../../shared/codec/registry.ts';
import { FACTORS } from '../../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import type { ShardAnswer, WorkerId } from '../../../shared/protocol/messages.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { floatsOf, INFINITY_PATTERNS, NAN_PATTERNS } from '../../support/special-floats.ts';

const shard: AssignedShard = {
  id: shardId(5),
  worker: 'ann' as WorkerId,
  from: 32,
  to: 64,
  assignedAtMs: 0,
  stragglerAtMs: Infinity,
  isDuplicate: false,
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
const rooms = new BufferPool();
const payloadOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const good = payloadOf(1, -2, 3);

function refusal(answer: ShardAnswer, payload: Uint8Array): ProtocolError | null {
  try {
    decodeAnswer(answer, payload, shard, 'float32', 3, rooms);
    return null;
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

describe('readAnswer', () => {
  it('reads the gradient of an answer that is in order', () => {
    expect(decodeAnswer(gradient, good, shard, 'float32', 3, rooms)).toEqual({
      values: Float32Array.of(1, -2, 3),
      norm: Math.sqrt(14),
    });
    const nothing = { ...gradient, lossSum: 0, correct: 0 };
    expect(decodeAnswer(nothing, good, shard, 'float32', 3, rooms).values).toHaveLength(3);
  });

  it('reads nothing from an evaluation', () => {
    const evaluation = { ...gradient, type: 'evaluation' } as const;
    expect(decodeAnswer(evaluation, new Uint8Array(0), shard, 'float32', 3, rooms).values).toHaveLength(0);
  });

  it.each([
    ['for fewer samples', { ...gradient, samples: 31 }, good, CloseCode.notAssigned],
    ['for more samples', { ...gradient, samples: 33 }, good, CloseCode.notAssigned],
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

  describe.each(CODECS.map((codec) => [codec.name, codec] as const))(
    'with a gradient in %s',
    (name, codec) => {
      it.each(
        [...NAN_PATTERNS, ...INFINITY_PATTERNS].map((bits) => [bits.toString(16), floatsOf([bits])] as const),
      )('refuses a gradient that had the value %s when it was encoded', (_, bad) => {
        for (const [length, at] of [
          [3, 0],
          [300, 255],
          [300, 299],
        ] as const) {
          const values = new Float32Array(length).fill(0.5);
          values.set(bad, at);
          const payload = new Uint8Array(codec.bytes(length));
          const read = (): unknown => decodeAnswer(gradient, payload, shard, name, length, rooms);
          codec.encode(values, payload);
          expect(read).toThrow(expect.objectContaining({ code: CloseCode.notFinite }));
          codec.encodeWithResidual(values, new Float32Array(length), payload);
          expect(read).toThrow(expect.objectContaining({ code: CloseCode.notFinite }));
          codec.encode(new Float32Array(length).fill(0.5), payload);
          expect(read).not.toThrow();
        }
      });
    },
  );

  it.each([
    ['NaN', NaN],
    ['infinite', Infinity],
    ['negative and infinite', -Infinity],
    ['so large that a product is infinite', 3.4e38],
  ])('refuses a gradient with a scale that is %s', (_, scale) => {
    for (const [name, payload] of [
      ['int8', Uint8Array.of(0, 0, 0, 0, 1, 2, 3)],
      ['int4', Uint8Array.of(0, 0, 0, 0, 0x21, 0x03)],
    ] as const) {
      const read = (): unknown => decodeAnswer(gradient, payload, shard, name, 3, rooms);
      expect(read).not.toThrow();
      new Float32Array(payload.buffer, 0, 1)[0] = scale;
      expect(read).toThrow(expect.objectContaining({ code: CloseCode.notFinite }));
    }
  });

  it('refuses factors with a value that is not finite, or with a product that is not', () => {
    const kernel = { offset: 0, inputs: 40, outputs: 40 };
    const factored = { kernel, samples: 1, range: { from: 0, to: 1600 } };
    const factors = new Float32Array(80).fill(1);
    const payload = new Uint8Array(factors.buffer);
    const read = (): unknown => decodeAnswer(gradient, payload, shard, FACTORS, 1600, rooms, factored);
    expect(read).not.toThrow();
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const at of [0, 39, 40, 79]) {
        factors.fill(1)[at] = bad;
        expect(read).toThrow(expect.objectContaining({ code: CloseCode.notFinite }));
      }
    }
    factors.fill(1e30);
    expect(read).toThrow(expect.objectContaining({ code: CloseCode.notFinite }));
  });

  it('says which shard and what is wrong with it', () => {
    expect(refusal({ ...gradient, samples: 31 }, good)?.message).toBe(
      'Shard 5 has 32 samples; the answer is for 31.',
    );
  });
});
