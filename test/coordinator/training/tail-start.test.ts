import { describe, expect, it } from 'vitest';
import { tailStart } from '../../../coordinator/training/tail.ts';
import { layoutOf } from '../../../shared/model/layout.ts';

const layout = (...sizes: number[]) => layoutOf(sizes.map((size) => ({ shape: [size], trainable: true })));

describe('the tail of the flat vector', () => {
  it("starts at the default model's first dense layer, which has almost all of its values", () => {
    expect(tailStart(layout(288, 32, 9216, 32, 589_824, 128, 1280, 10))).toBe(9568);
  });

  it('has at least three quarters of the values and starts at a tensor', () => {
    expect(tailStart(layout(100_000, 100_000, 100_000, 100_000))).toBe(100_000);
    expect(tailStart(layout(200_000, 100_000, 100_000))).toBeNull();
  });

  it('is none where it would be the whole, or not worth a message', () => {
    expect(tailStart(layout(589_824, 10))).toBeNull();
    expect(tailStart(layout(10, 16_383))).toBeNull();
    expect(tailStart(layout(10, 16_384))).toBe(10);
    expect(tailStart(layout())).toBeNull();
  });
});
