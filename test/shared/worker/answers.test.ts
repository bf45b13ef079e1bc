import { describe, expect, it } from 'vitest';
import { float16 } from '../../../shared/codec/packed.ts';
import type { GradientComputer } from '../../../shared/engine/engine.ts';
import { parseFromWorker } from '../../../shared/protocol/frame.ts';
import { LoadedJob } from '../../../shared/worker/loaded-job.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';

const LENGTH = 6;
const oneSample = Uint8Array.of(7, 0, 0, 0, 200, 100, 0, 0, 1, 0, 0, 0);

/** A loaded job whose connection does not copy frames, and delivers them when the test calls deliver(). */
function jobWithPendingFrames({ codec = 'float32', shared = false, scale = 1 } = {}) {
  let answers = 0;
  const computer: GradientComputer = {
    ...(shared ? { allocateBuffer: (bytes: number) => new SharedArrayBuffer(bytes) } : {}),
    setWeights: () => undefined,
    gradient(_step, _shard, gradient) {
      gradient.fill(++answers * scale);
      return Promise.resolve({ lossSum: answers, metrics: [1] });
    },
    prepare: () => undefined,
    evaluate: () => Promise.resolve({ lossSum: 3, metrics: [1] }),
    predict: () => Promise.resolve(new Float32Array()),
    dispose: () => undefined,
  };
  let bufferedBytes = 0;
  const job = new LoadedJob(
    computer,
    { ...exampleWelcome, codec },
    {
      send: () => undefined,
      close: () => undefined,
      terminate: () => undefined,
      get bufferedBytes() {
        return bufferedBytes;
      },
    },
  );
  const pending: Uint8Array[] = [];
  return {
    async answer(shard: number, task: 'train' | 'evaluate' = 'train', encoding?: string) {
      const fields = { task, step: step(1), shard: shardId(shard), samples: 1 };
      const message = { type: 'shard', ...fields, ...(encoding === undefined ? {} : { encoding }) } as const;
      const frame = await job.answer({ message, samples: { message, payload: oneSample } }, () => 1);
      pending.push(frame);
      bufferedBytes += frame.length;
      return frame;
    },
    /** Delivers the pending frames and returns the shard and the values of each answer. */
    deliver() {
      bufferedBytes = 0;
      return pending.splice(0).map((frame) => {
        const { message, payload } = parseFromWorker(frame.slice());
        if (message.type !== 'gradient') return [message.type];
        return [message.shard, ...new Float32Array(payload.slice().buffer)];
      });
    },
  };
}

const gradientOf = (shard: number, value: number): number[] => [
  shard,
  ...Array.from({ length: LENGTH }, () => value),
];

describe.each([
  ['private', false],
  ['shared', true],
])('an answer that is sent from %s memory of the gradient', (_, shared) => {
  it('does not change if further shards are computed before it is sent', async () => {
    const job = jobWithPendingFrames({ shared });
    for (const shard of [1, 2, 3]) await job.answer(shard);
    await job.answer(4, 'evaluate');
    await job.answer(5);
    expect(job.deliver()).toEqual([
      gradientOf(1, 1),
      gradientOf(2, 2),
      gradientOf(3, 3),
      ['evaluation'],
      gradientOf(5, 4),
    ]);
  });

  it('is not copied, and its memory is reused after it was sent', async () => {
    const job = jobWithPendingFrames({ shared });
    const first = await job.answer(1);
    job.deliver();
    const second = await job.answer(2);
    expect(second.buffer).toBe(first.buffer);
    expect(second.buffer instanceof SharedArrayBuffer).toBe(shared);
    expect(job.deliver()).toEqual([gradientOf(2, 2)]);
  });
});

it('a gradient in a smaller codec is encoded into other memory', async () => {
  const job = jobWithPendingFrames({ codec: 'float16', shared: true });
  const frame = await job.answer(1);
  expect(frame.buffer).not.toBeInstanceOf(SharedArrayBuffer);
});

it('a gradient in float32 makes up for the error of the gradient in a smaller codec before it', async () => {
  const job = jobWithPendingFrames({ scale: 1 / 3 });
  const frame = await job.answer(1, 'train', 'float16');
  const error = Math.fround(1 / 3) - float16.decode(frame.slice(-float16.bytes(LENGTH)), LENGTH)[0]!;
  expect(error).not.toBe(0);
  for (const shard of [2, 3]) await job.answer(shard);
  expect(job.deliver().slice(1)).toEqual([
    gradientOf(2, Math.fround(Math.fround(2 / 3) + error)),
    gradientOf(3, 1),
  ]);
});
