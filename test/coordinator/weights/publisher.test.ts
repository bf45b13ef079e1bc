import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WeightsPublisher } from '../../../coordinator/weights/publisher.ts';
import type { Worker } from '../../../coordinator/pool/worker.ts';
import type { WorkerPool } from '../../../coordinator/pool/pool.ts';
import { decodeFrame } from '../../../shared/protocol/frame.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { checkProperty } from '../../support/property.ts';

const LENGTH = 6;

/** A worker behind a link that keeps what it is given, without a copy, until it is let through. */
function heldLink() {
  const frames: Uint8Array[] = [];
  let through = 0;
  const member = {
    link: { updateCodec: null, bucketOffsets: [0] },
    connection: {
      send: (frame: Uint8Array) => void frames.push(frame),
      get bufferedBytes() {
        return frames.slice(through).reduce((sum, { length }) => sum + length, 0);
      },
    },
  } as unknown as Worker;
  const arrived: { readonly step: number; readonly weights: number[] }[] = [];
  return {
    member,
    arrived,
    letThrough() {
      for (const frame of frames.slice(through)) {
        const { header, payload } = decodeFrame(frame.slice());
        const weights = [...new Float32Array(payload.slice().buffer)];
        arrived.push({ step: (header as { step: number }).step, weights });
      }
      through = frames.length;
    },
  };
}

/** How a step ends: as it should, taken back, with a part of the weights changed unsaid, or by a leap to another step. */
const endings = fc.constantFrom('done', 'done', 'taken back', 'half said', 'leap');

it('whole weights arrive as they were when they were sent, however late a link is', () => {
  const cuts = fc.constantFrom([0], [0, 4], [0, 1, 3, 5]);
  checkProperty(
    fc.property(fc.array(fc.record({ drains: fc.boolean(), ending: endings })), cuts, (steps, cuts) => {
      const [quick, slow] = [heldLink(), heldLink()];
      const members = new Map([quick, slow].map(({ member }, i) => [`${i}`, member]));
      const pool = { workers: members, codecs: 'auto' } as unknown as WorkerPool;
      const broadcast = new WeightsPublisher(pool, LENGTH, cuts);
      const weights = new Float32Array(LENGTH);
      const sent: { step: number; weights: number[] }[] = [];
      let step = 0;
      for (const { drains, ending } of steps) {
        const source = { committedWeights: weights };
        broadcast.beginStep(step as Step, source);
        for (const { member } of [quick, slow]) broadcast.sendTo(member);
        if (sent.at(-1)?.step !== step) sent.push({ step, weights: [...weights] });
        quick.letThrough();
        if (drains) slow.letThrough();
        const before = weights.slice();
        if (ending === 'taken back') source.committedWeights = before;
        const parts = cuts.map((from, i) => ({ from, to: cuts[i + 1] ?? LENGTH })).reverse();
        for (const part of parts) {
          const isHead = part.from === 0;
          // It would be over.
          if (isHead && ending === 'taken back') break;
          for (let i = part.from; i < part.to; i++) weights[i] = (weights[i] ?? 0) + 1 + i / 8;
          if (!isHead || ending !== 'half said') broadcast.publishBucket(weights, part);
        }
        if (ending === 'taken back') {
          weights.set(before);
          broadcast.rollback();
        } else step += ending === 'leap' ? 2 : 1;
      }
      slow.letThrough();
      expect(quick.arrived).toEqual(sent);
      expect(slow.arrived).toEqual(sent);
    }),
    { seed: 1, numRuns: 500 },
  );
});
