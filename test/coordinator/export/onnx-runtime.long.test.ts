import { expect, test } from 'vitest';
import {
  exportCases,
  largestDifference,
  onnxOf,
  predictOutputs,
  runOnnx,
  TOLERANCE,
} from '../../support/export-cases.ts';

const cases = exportCases();

test.each(cases)('ONNX Runtime computes what the engine computes: %s', async (_, prepare) => {
  const each = await prepare();
  const found = await runOnnx(onnxOf(each), each);
  expect(largestDifference(found, await predictOutputs(each))).toBeLessThan(TOLERANCE);
});

test('the models are all that Keras has figures for', () => {
  expect(cases).toHaveLength(598);
});
