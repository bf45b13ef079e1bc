import { test } from 'vitest';
import { compareWithNative } from '../../support/saved-models.ts';
import { exportCases } from '../../support/export-cases.ts';
import { withNative } from '../../support/native.ts';

const cases = exportCases();

await withNative((native) => {
  test.each(cases)('TensorFlow computes what the engine computes: %s', async (_, prepare) => {
    await compareWithNative(native, await prepare());
  });
});
