import { describe, expect, it } from 'vitest';
import { AnswerDecoder, BufferPool } from '../../../coordinator/training/decode-answer.ts';
import type { AssignedShard } from '../../../coordinator/scheduling/partition.ts';
import { CODECS } from '../../../shared/codec/registry.ts';
import { float32 } from '../../../shared/codec/float32.ts';
import { FACTORS, type DenseKernel } from '../../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../../shared/protocol/close-codes.ts';
import type { GradientMessage, ShardResult, WorkerId } from '../../../shared/protocol/messages.ts';
import { shardId, step, exampleJob } from '../../shared/protocol/examples.ts';
import { floatsOf, INFINITY_PATTERNS, NAN_PATTERNS } from '../../support/special-floats.ts';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import { Scoring } from '../../../shared/model/scoring.ts';

const shard: AssignedShard = {
  id: shardId(5),
  worker: 'ann' as WorkerId,
  from: 32,
  to: 64,
  assignedAtMs: 0,
  stragglerAtMs: Infinity,
  isDuplicate: false,
};
const sums = { samples: 32, lossSum: 70.5, metrics: [32], computeMs: 3 };
const gradient: GradientMessage = {
  type: 'gradient',
  step: step(1),
  shard: shardId(5),
  offset: 0,
  result: sums,
};
const payloadOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const validPayload = payloadOf(1, -2, 3);

/** A worker whose shard requests this codec. */
const workerWith = (codec: string): Worker =>
  ({
    link: { bucketOffsets: [0], initialCodec: float32 },
    outstanding: { encodingOf: () => (codec === 'float32' ? null : codec) },
  }) as unknown as Worker;

const scoring = new Scoring(exampleJob);

interface DecodeOptions {
  readonly codec?: string;
  readonly length?: number;
  readonly kernel?: DenseKernel;
  readonly of?: AssignedShard;
}

function decode(
  message: GradientMessage,
  payload: Uint8Array,
  { codec = 'float32', length = 3, kernel, of = shard }: DecodeOptions = {},
) {
  const decoder = new AnswerDecoder({ gradientLength: length, kernel: kernel ?? null, scoring });
  const encoded = codec === 'float32' ? message : { ...message, encoding: codec };
  return decoder.decodeBucket(workerWith(codec), of, encoded, payload, length);
}
const evaluate = (result: ShardResult, payload: Uint8Array): void =>
  new AnswerDecoder({ gradientLength: 3, kernel: null, scoring }).checkEvaluation(shard, result, payload);

function refusalOf(check: () => unknown): ProtocolError | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

describe('an answer', () => {
  it('that is valid gives its values and their norm', () => {
    expect(decode(gradient, validPayload)).toEqual({
      values: Float32Array.of(1, -2, 3),
      norm: Math.sqrt(14),
      codec: 'float32',
    });
    const nothing = { ...gradient, result: { ...sums, lossSum: 0, metrics: [0] } };
    expect(decode(nothing, validPayload).values).toHaveLength(3);
    expect(refusalOf(() => evaluate(sums, new Uint8Array(0)))).toBeNull();
  });

  it.each<[string, Partial<ShardResult>, Uint8Array, CloseCode]>([
    ['for fewer samples', { samples: 31 }, validPayload, CloseCode.notAssigned],
    ['for more samples', { samples: 33 }, validPayload, CloseCode.notAssigned],
    ['with more correct than samples', { metrics: [33] }, validPayload, CloseCode.notFinite],
    ['with a loss of NaN', { lossSum: NaN }, validPayload, CloseCode.notFinite],
    ['with an infinite loss', { lossSum: Infinity }, validPayload, CloseCode.notFinite],
    ['with an impossibly large loss', { lossSum: 1.7e308 }, validPayload, CloseCode.notFinite],
    ['with a negative loss', { lossSum: -1e-9 }, validPayload, CloseCode.notFinite],
    ['with a short gradient', {}, payloadOf(1, 2), CloseCode.wrongLength],
    ['with a long gradient', {}, payloadOf(1, 2, 3, 4), CloseCode.wrongLength],
    ['with half a value', {}, validPayload.subarray(0, 11), CloseCode.wrongLength],
    ['without a gradient', {}, new Uint8Array(0), CloseCode.wrongLength],
    ['with NaN in its gradient', {}, payloadOf(1, NaN, 3), CloseCode.notFinite],
    ['with infinity in its gradient', {}, payloadOf(1, 2, -Infinity), CloseCode.notFinite],
  ])('%s is refused', (_, changes, payload, code) => {
    const message = { ...gradient, result: { ...sums, ...changes } };
    expect(refusalOf(() => decode(message, payload))?.code).toBe(code);
  });

  it('that evaluates is refused with a payload, and with a loss of NaN', () => {
    expect(refusalOf(() => evaluate(sums, validPayload))?.code).toBe(CloseCode.wrongLength);
    expect(refusalOf(() => evaluate({ ...sums, lossSum: NaN }, new Uint8Array(0)))?.code).toBe(
      CloseCode.notFinite,
    );
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
          const read = (): unknown => decode(gradient, payload, { codec: name, length });
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
      const read = (): unknown => decode(gradient, payload, { codec: name });
      expect(read).not.toThrow();
      new Float32Array(payload.buffer, 0, 1)[0] = scale;
      expect(read).toThrow(expect.objectContaining({ code: CloseCode.notFinite }));
    }
  });

  it('refuses factors with a value that is not finite, or with a product that is not', () => {
    const kernel = { offset: 0, inputs: 40, outputs: 40 };
    const one = { ...shard, to: shard.from + 1 };
    const message = { ...gradient, result: { ...sums, samples: 1, metrics: [1] } };
    const factors = new Float32Array(80).fill(1);
    const payload = new Uint8Array(factors.buffer);
    const read = (): unknown => decode(message, payload, { codec: FACTORS, length: 1600, kernel, of: one });
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

  it('is refused with the shard and the reason', () => {
    expect(
      refusalOf(() => decode({ ...gradient, result: { ...sums, samples: 31 } }, validPayload))?.message,
    ).toBe('Shard 5 has 32 samples; the answer is for 31.');
  });
});

it('a buffer pool acquires distinct buffers, reuses those of the last round, and drops the others', () => {
  const pool = new BufferPool();
  const first = [pool.acquire(3), pool.acquire(3), pool.acquire(5)];
  expect(first.map(({ length }) => length)).toEqual([3, 3, 5]);
  expect(new Set(first).size).toBe(3);
  pool.releaseAll();
  const second = [pool.acquire(3), pool.acquire(3), pool.acquire(3)];
  expect(new Set(second).size).toBe(3);
  expect(second.filter((buffer) => first.includes(buffer))).toHaveLength(2);
  pool.releaseAll();
  // The buffer of five values was not acquired in the second round.
  expect(first).not.toContain(pool.acquire(5));
  expect(second).toContain(pool.acquire(3));
});

it('keeps one buffer of any size', () => {
  const pool = new BufferPool();
  const buffer = pool.acquire((65 << 20) / 4);
  pool.releaseAll();
  // Not `toBe(buffer)`, whose message would have 17 million values.
  expect(pool.acquire(buffer.length) === buffer).toBe(true);
});

it('keeps 64 MiB of free buffers at most, also if it is released twice', () => {
  const pool = new BufferPool();
  const length = (40 << 20) / 4;
  const first = [pool.acquire(length), pool.acquire(length)];
  pool.releaseAll();
  pool.releaseAll();
  const second = [pool.acquire(length), pool.acquire(length)];
  expect(second.filter((buffer) => first.includes(buffer))).toHaveLength(1);
});
