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

/** Weights as the coordinator reconstructs them and as a worker does, with updates in a codec. */
function bothEnds(codec: Codec) {
  const encoder = new UpdateEncoder(LENGTH, (step, offset, _codec, payloadBytes) =>
    openFrame({ type: 'update', step, offset }, payloadBytes),
  );
  const replica = new WeightsReplica(LENGTH);
  encoder.setCodec(codec);
  return {
    whole: (weights: Float32Array): void => {
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
    'show a weight that has become %s, in the same bits at both ends, until weights come whole',
    (__, bad) => {
      const { whole, update } = bothEnds(codec);
      whole(ones());
      const diverged = ones();
      diverged.set(bad, 299);
      for (const weights of [diverged, diverged, ones(), ones()]) {
        const [coordinator, worker] = update(weights);
        expect(Number.isFinite(worker[299])).toBe(false);
        expect(bitsOf(worker)).toEqual(bitsOf(coordinator));
        // Blocks of 256 values do not spoil each other.
        expect(worker.subarray(0, 256).every((value) => value === 1)).toBe(true);
        expect(worker.subarray(512).every((value) => value === 1)).toBe(true);
      }
      whole(ones());
      const [coordinator, worker] = update(ones());
      expect([...worker]).toEqual([...ones()]);
      expect(bitsOf(worker)).toEqual(bitsOf(coordinator));
    },
  );
});
