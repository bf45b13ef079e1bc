import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../shared/worker/backoff.ts';
import { checkProperty } from '../../support/property.ts';

describe('backoffMs', () => {
  it('doubles up to 15 s and spreads over the upper half', () => {
    expect([0, 1, 2, 3, 4, 5, 50, 5000].map((attempt) => backoffMs(attempt, 0))).toEqual([
      250, 500, 1000, 2000, 4000, 7500, 7500, 7500,
    ]);
    checkProperty(
      fc.property(
        fc.nat(100),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const minimum = backoffMs(attempt, 0);
          const waited = backoffMs(attempt, random);
          return waited >= minimum && waited <= 2 * minimum;
        },
      ),
      { seed: 1 },
    );
  });
});
