import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layoutOf, sizeOf } from '../../../shared/model/layout.ts';
import { checkProperty } from '../../support/property.ts';

describe('sizeOf', () => {
  it('is the product of the sides: 1 for a scalar, 0 if a side is 0', () => {
    expect(sizeOf([3, 3, 1, 32])).toBe(288);
    expect(sizeOf([])).toBe(1);
    expect(sizeOf([4, 0, 2])).toBe(0);
  });
});

describe('layoutOf', () => {
  const entries = fc.array(
    fc.record({ shape: fc.array(fc.nat(6), { maxLength: 4 }), trainable: fc.boolean() }),
  );

  it('orders tensors without gaps', () => {
    checkProperty(
      fc.property(entries, (layoutEntries) => {
        const { slices, length } = layoutOf(layoutEntries);
        let at = 0;
        for (const [i, { shape, trainable, offset, size }] of slices.entries()) {
          if (offset !== at || size !== sizeOf(shape)) return false;
          if (shape !== layoutEntries[i]!.shape || trainable !== layoutEntries[i]!.trainable) return false;
          at += size;
        }
        return slices.length === layoutEntries.length && length === at;
      }),
      { seed: 1 },
    );
  });

  it('counts 600,810 values for the MNIST CNN', () => {
    const shapes = [[3, 3, 1, 32], [32], [3, 3, 32, 32], [32], [4608, 128], [128], [128, 10], [10]];
    expect(layoutOf(shapes.map((shape) => ({ shape, trainable: true }))).length).toBe(600_810);
  });
});
