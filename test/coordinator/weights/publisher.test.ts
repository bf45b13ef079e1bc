import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WeightsPublisher } from '../../../coordinator/weights/publisher.ts';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import type { WorkerPool } from '../../../coordinator/pool/pool.ts';
import { decodeFrame } from '../../../shared/protocol/frame.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { checkProperty } from '../../support/property.ts';

const LENGTH = 6;

/** A worker whose connection holds frames, without a copy, until they are delivered. */
function heldLink({ updateCodec = null as string | null, bucketOffsets = [0] } = {}) {
  const frames: Uint8Array[] = [];
  let deliveredCount = 0;
  const worker = {
    link: { updateCodec, bucketOffsets },
    connection: {
      send: (frame: Uint8Array) => void frames.push(frame),
      get bufferedBytes() {
        return frames.slice(deliveredCount).reduce((sum, { length }) => sum + length, 0);
      },
    },
  } as unknown as Worker;
  const arrived: { readonly step: number; readonly weights: number[] }[] = [];
  return {
    worker,
    arrived,
    frames,
    deliver() {
      for (const frame of frames.slice(deliveredCount)) {
        const { header, payload } = decodeFrame(frame.slice());
        const { type, step } = header as { type: string; step: number };
        if (type !== 'weights') continue;
        arrived.push({ step, weights: [...new Float32Array(payload.slice().buffer)] });
      }
      deliveredCount = frames.length;
    },
  };
}

/** End of a step: committed, rolled back, with an unpublished change of some weights, or followed by a later step number. */
const endings = fc.constantFrom('committed', 'committed', 'rolled back', 'partly published', 'skip');

it('whole weights arrive as they were when they were sent, however slow a link is', () => {
  const offsets = fc.constantFrom([0], [0, 4], [0, 1, 3, 5]);
  checkProperty(
    fc.property(fc.array(fc.record({ drains: fc.boolean(), ending: endings })), offsets, (steps, offsets) => {
      const [quick, slow] = [heldLink(), heldLink()];
      const workersById = new Map([quick, slow].map(({ worker }, i) => [`${i}`, worker]));
      const pool = { workers: workersById, codecs: 'auto' } as unknown as WorkerPool;
      const publisher = new WeightsPublisher(pool, LENGTH, offsets);
      const weights = new Float32Array(LENGTH);
      const sent: { step: number; weights: number[] }[] = [];
      let step = 0;
      for (const { drains, ending } of steps) {
        const source = { committedWeights: weights };
        publisher.beginStep(step as Step, source);
        for (const { worker } of [quick, slow]) publisher.sendTo(worker);
        if (sent.at(-1)?.step !== step) sent.push({ step, weights: [...weights] });
        quick.deliver();
        if (drains) slow.deliver();
        const before = weights.slice();
        if (ending === 'rolled back') source.committedWeights = before;
        const parts = offsets.map((from, i) => ({ from, to: offsets[i + 1] ?? LENGTH })).reverse();
        for (const part of parts) {
          const isFirst = part.from === 0;
          if (isFirst && ending === 'rolled back') break;
          for (let i = part.from; i < part.to; i++) weights[i] = (weights[i] ?? 0) + 1 + i / 8;
          if (!isFirst || ending !== 'partly published') publisher.publishBucket(weights, part);
        }
        if (ending === 'rolled back') {
          weights.set(before);
          publisher.rollback();
        } else step += ending === 'skip' ? 2 : 1;
      }
      slow.deliver();
      expect(quick.arrived).toEqual(sent);
      expect(slow.arrived).toEqual(sent);
    }),
    { seed: 1, numRuns: 500 },
  );
});

it('a bucket of an update stays as it was sent to a worker that joined too late to get it early', () => {
  const offsets = [0, 4];
  const [first, late] = [1, 2].map(() => heldLink({ updateCodec: 'int8', bucketOffsets: offsets }));
  if (first === undefined || late === undefined) throw new Error('unreachable');
  const workersById = new Map([['first', first.worker]]);
  const pool = { workers: workersById, codecs: 'auto' } as unknown as WorkerPool;
  const publisher = new WeightsPublisher(pool, LENGTH, offsets);
  const weights = new Float32Array(LENGTH);
  const publish = (from: number, to: number): void => {
    for (let i = from; i < to; i++) weights[i] = (weights[i] ?? 0) + 1 + i / 8;
    publisher.publishBucket(weights, { from, to });
  };

  const source = { committedWeights: weights.slice() };
  publisher.beginStep(0 as Step, source);
  publisher.sendTo(first.worker);
  publish(4, LENGTH);
  workersById.set('late', late.worker);
  publisher.sendTo(late.worker);
  publish(0, 4);
  source.committedWeights = weights.slice();
  first.deliver();
  late.deliver();

  publisher.beginStep(1 as Step, source);
  publisher.sendTo(late.worker);
  const waiting = late.frames.slice(1);
  const asSent = waiting.map((frame) => [...frame]);
  expect(waiting.length).toBe(2);
  publish(4, LENGTH);

  expect(waiting.map((frame) => [...frame])).toEqual(asSent);
});
