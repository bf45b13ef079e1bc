import { expect, test } from 'vitest';
import { parseBenchmark } from '../../../worker-node/engine/benchmark/benchmark-child.ts';
import { parseStepTime } from '../../../worker-node/autotune/step-time-lines.ts';

test('an incomplete line of a killed process is null', () => {
  expect(parseStepTime('gradcast-pace {"stepMs": 1')).toBeNull();
  const half = { code: null, lines: ['gradcast-probe {"backend": "tens'] };
  expect(parseBenchmark(half)).toEqual({ ok: false, reason: expect.any(String) as string });
});
