import { describe, expect, test } from 'vitest';
import { TENSORFLOW_DIALECT } from '../../../coordinator/export/write-model.ts';
import { combinationCases } from '../../support/export-combinations.ts';
import {
  exportCases,
  largestDifference,
  onnxOf,
  predictOutputs,
  runOnnx,
  TOLERANCE,
} from '../../support/export-cases.ts';

// onnx-runtime.long.test.ts has all models.
const cases = [...combinationCases(), ...exportCases().filter((_, i) => i % 8 === 0)];

describe('ONNX Runtime computes what the engine computes', () => {
  test.each(cases)('%s', async (_, prepare) => {
    const each = await prepare();
    const found = await runOnnx(onnxOf(each), each);
    expect(largestDifference(found, await predictOutputs(each))).toBeLessThan(TOLERANCE);
  });
});

describe('a loop over steps computes what the operators of recurrent layers compute', () => {
  const recurrent = exportCases().filter(([name]) =>
    /^(LSTM|GRU|SimpleRNN|Bidirectional \w+, concat)$/.test(name),
  );

  test.each(recurrent)('%s', async (_, prepare) => {
    const each = await prepare();
    const found = await runOnnx(onnxOf(each, TENSORFLOW_DIALECT), each);
    expect(largestDifference(found, await predictOutputs(each))).toBeLessThan(TOLERANCE);
  });
});
