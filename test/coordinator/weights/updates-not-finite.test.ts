import { describe, expect, it } from 'vitest';
import { UpdateEncoder } from '../../../coordinator/weights/update-encoder.ts';
import type { Codec } from '../../../shared/codec/codec.ts';
import { CODECS } from '../../../shared/codec/registry.ts';
import { decodeFrame, openFrame } from '../../../shared/protocol/frame.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { WeightsReplica } from '../../../shared/codec/weights-replica.ts';
import { bitsOf, floatsOf, INFINITY_PATTERNS, NAN_PATTERNS } from '../../support/special-floats.ts';

const LENGTH = 600;
const ones = (): Float32Array => new Float32Array(LENGTH).fill(1);

/** Weights of the coordinator's replica and of a worker's, with updates in a codec. */
function bothEnds(codec: Codec) {
  const encoder = new UpdateEncoder(LENGTH, (step, offset, _codec, payloadBytes) =>
    openFrame({ type: 'update', step, offset }, payloadBytes),
  );
  const replica = new WeightsReplica(LENGTH);
  encoder.setCodec(codec);
  return {
    reset: (weights: Float32Array): void => {
      encoder.reset(0 as Step, weights);
      replica.set(weights.slice());
    },
    /** Values at both ends after an update to these weights. */
    update: (weights: Float32Array): [coordinator: Float32Array, worker: Float32Array] => {
      encoder.advance(weights);
      const buckets = encoder.buckets.map(({ offset, frame }) => ({
        offset,
        codec,
        payload: decodeFrame(frame).payload,
      }));
      return [encoder.weights, replica.applyUpdate(buckets)];
    },
  };
}

describe.each(CODECS.map((codec) => [codec.name, codec] as const))('updates in %s', (_, codec) => {
  it.each(
    [...NAN_PATTERNS, ...INFINITY_PATTERNS].map((bits) => [bits.toString(16), floatsOf([bits])] as const),
  )(
    'reproduce a weight that has become %s, with the same bits at both ends, until whole weights are sent',
    (__, bad) => {
      const { reset, update } = bothEnds(codec);
      reset(ones());
      const diverged = ones();
      diverged.set(bad, 299);
      for (const weights of [diverged, diverged, ones(), ones()]) {
        const [coordinator, worker] = update(weights);
        expect(Number.isFinite(worker[299])).toBe(false);
        expect(bitsOf(worker)).toEqual(bitsOf(coordinator));
        // Other blocks of 256 values are not affected.
        expect(worker.subarray(0, 256).every((value) => value === 1)).toBe(true);
        expect(worker.subarray(512).every((value) => value === 1)).toBe(true);
      }
      reset(ones());
      const [coordinator, worker] = update(ones());
      expect([...worker]).toEqual([...ones()]);
      expect(bitsOf(worker)).toEqual(bitsOf(coordinator));
    },
  );
});
