import { describe, expect, it } from 'vitest';
import { bucketOffsets } from '../../../coordinator/weights/bucket-offsets.ts';
import { layoutOf } from '../../../shared/model/layout.ts';

const layout = (...sizes: number[]) => layoutOf(sizes.map((size) => ({ shape: [size], trainable: true })));

describe('the tail of the flat vector', () => {
  it("starts at the default model's first dense layer, which has almost all of its values, and is cut in four", () => {
    const cuts = bucketOffsets(layout(288, 32, 9216, 32, 589_824, 128, 1280, 10));
    expect(cuts).toEqual([9568, 157_536, 305_504, 453_472]);
    // Its pieces share their scales with nobody.
    expect(cuts.every((cut) => (cut - 9568) % 256 === 0)).toBe(true);
  });

  it('has at least three quarters of the values and starts at a tensor', () => {
    expect(bucketOffsets(layout(100_000, 100_000, 100_000, 100_000))[0]).toBe(100_000);
    expect(bucketOffsets(layout(200_000, 100_000, 100_000))).toEqual([]);
  });

  it('is none where it would be the whole, or not worth a message', () => {
    expect(bucketOffsets(layout(589_824, 10))).toEqual([]);
    expect(bucketOffsets(layout(10, 16_383))).toEqual([]);
    expect(bucketOffsets(layout(10, 16_384))).toEqual([10]);
    expect(bucketOffsets(layout(10, 40_000))).toEqual([10, 20_234]);
    expect(bucketOffsets(layout())).toEqual([]);
  });
});
