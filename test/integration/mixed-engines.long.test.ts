import { expect, test } from 'vitest';
import { mixedRunDifferences, smoothTopology } from '../support/mixed-run.ts';
import { withNative } from '../support/native.ts';

const STEPS = 20;
const TOLERANCE = 1e-4;
const run = { engines: ['native', 'wasm'], steps: STEPS, batchSize: 128 } as const;

await withNative(() => {
  test('a native and a wasm worker together compute the gradient that each computes alone', async () => {
    const found = await mixedRunDifferences({ ...run, topology: smoothTopology });
    for (const difference of found) expect(difference).toBeLessThan(TOLERANCE);
  }, 120_000);

  test('a native and a wasm worker compute the gradient of the default CNN, except for its discontinuities', async () => {
    // The engines can decide differently at a ReLU near zero, or at a max-pool whose two largest inputs differ by rounding.
    // A step has six million such decisions, and each changes up to 5e-4, or, in the dense layer, a part of one sample's gradient; see
    // docs/decisions/0026-mixed-engines.md.
    const found = await mixedRunDifferences(run);
    const sorted = found.toSorted((a, b) => a - b);
    expect(sorted[STEPS >> 1]).toBeLessThan(TOLERANCE / 10);
    expect(found.filter((difference) => difference >= TOLERANCE).length).toBeLessThanOrEqual(STEPS / 5);
    expect(sorted.at(-1)).toBeLessThan(2 / run.batchSize);
  }, 120_000);
});
