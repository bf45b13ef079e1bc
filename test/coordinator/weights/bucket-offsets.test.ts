import { describe, expect, it } from 'vitest';
import { bucketOffsets } from '../../../coordinator/weights/bucket-offsets.ts';
import { layoutOf } from '../../../shared/model/layout.ts';

const layout = (...sizes: number[]) => layoutOf(sizes.map((size) => ({ shape: [size], trainable: true })));

describe('buckets of the flat vector', () => {
  it("are one and four early ones from the default model's first dense layer on", () => {
    const offsets = bucketOffsets(layout(288, 32, 9216, 32, 589_824, 128, 1280, 10));
    expect(offsets).toEqual([0, 9568, 157_536, 305_504, 453_472]);
    // A bucket begins with a block of values with a common scale.
    expect(offsets.slice(1).every((offset) => (offset - 9568) % 256 === 0)).toBe(true);
  });

  it('have at least three quarters of the values in early ones, which begin at a tensor', () => {
    expect(bucketOffsets(layout(100_000, 100_000, 100_000, 100_000))[1]).toBe(100_000);
    expect(bucketOffsets(layout(200_000, 100_000, 100_000))).toEqual([0]);
  });

  it('are one if an early bucket would be the whole vector, or too small', () => {
    expect(bucketOffsets(layout(589_824, 10))).toEqual([0]);
    expect(bucketOffsets(layout(10, 16_383))).toEqual([0]);
    expect(bucketOffsets(layout(10, 16_384))).toEqual([0, 10]);
    expect(bucketOffsets(layout(10, 40_000))).toEqual([0, 10, 20_234]);
    expect(bucketOffsets(layout())).toEqual([0]);
  });
});
