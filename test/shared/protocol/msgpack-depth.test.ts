import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { isWithinMaxDepth } from '../../../shared/protocol/msgpack-depth.ts';
import { checkProperty } from '../../support/property.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const levelsOf = (value: unknown): number => {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 0;
  const inner = Object.values(value).map(levelsOf);
  // A decoder does not recurse into an empty array or map.
  return inner.length === 0 ? 0 : 1 + Math.max(...inner);
};

describe('isWithinMaxDepth', () => {
  it('compares the depth of any value with the limit', () => {
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'large', maxDepth: 5 },
        fc.constantFrom(null, true, 1, -1, 300, 70_000, 2 ** 40, 0.5),
        fc.string({ maxLength: 300 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.array(tie('value'), { maxLength: 40 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 20 }),
      ),
    }));
    checkProperty(
      fc.property(value, fc.integer({ min: 0, max: 80 }), (inner, around) => {
        let nested: unknown = [inner, 'behind'];
        for (let i = 0; i < around; i++) nested = i % 2 === 0 ? [1, nested, 'x'] : { a: nested, b: 2.5 };
        expect(isWithinMaxDepth(packr.pack(nested))).toBe(levelsOf(nested) <= 64);
      }),
      { seed: 1 },
    );
  });

  it('returns for all bytes, also for thousands of levels', () => {
    for (const depth of [64, 65, 60_000])
      expect(isWithinMaxDepth(new Uint8Array(depth + 1).fill(0x91))).toBe(depth < 64);
    checkProperty(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => typeof isWithinMaxDepth(bytes) === 'boolean'),
      { seed: 2 },
    );
    expect(isWithinMaxDepth(Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff))).toBe(true);
  });
});
