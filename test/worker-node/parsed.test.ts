import { expect, test } from 'vitest';
import { readProbe } from '../../worker-node/engine/install/prove.ts';
import { readPaceLine } from '../../worker-node/shape/pace-lines.ts';

test('a line that a killed process has left half says nothing', () => {
  expect(readPaceLine('gradcast-pace {"stepMs": 1')).toBeNull();
  const half = { code: null, lines: ['gradcast-probe {"backend": "tens'] };
  expect(readProbe(half)).toEqual({ ok: false, reason: expect.any(String) as string });
});
