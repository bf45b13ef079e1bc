import { expect, it } from 'vitest';
import { WorkerNames } from '../../../coordinator/pool/worker-identity.ts';

/** Name of a worker that joins after others. */
function workerName(requested: string, taken: readonly string[]): string {
  const names = new WorkerNames();
  for (const name of taken) names.take(name);
  return names.take(requested);
}

it.each([
  ['ann', 'ann'],
  ['  ann \t\n of  lab 7 ', 'ann of lab 7'],
  ['', 'worker'],
  ['   ', 'worker'],
  ['\u200b\u2060\ufeff', 'worker'],
  ['\u3164\u115f\u2800', 'worker'],
  ['a\u200bn\u202en', 'ann'],
  ['\u001b[31mann\u0007', '[31mann'],
  ['Zo\u0065\u0308', 'Zoë'],
  ['名前 7', '名前 7'],
  [`a${'\u0336'.repeat(50)}`, `a${'\u0336'.repeat(3)}`],
])('%j is displayed as %j', (requested, displayed) => {
  expect(workerName(requested, [])).toBe(displayed);
});

it('differs from the names of other workers, also in its look', () => {
  expect(workerName('ann', ['ann'])).toBe('ann (2)');
  expect(workerName('ann', ['ann', 'ann (2)'])).toBe('ann (3)');
  expect(workerName('ａnn\u200b', ['Ann'])).toBe('ａnn (2)');
  expect(workerName('', ['worker'])).toBe('worker (2)');
});

it('is cut to the maximum length at a whole character', () => {
  const long = 'x'.repeat(100);
  expect(workerName(long, [long])).toBe(`${'x'.repeat(96)} (2)`);
  expect(workerName(`${'x'.repeat(99)}😀`, [])).toBe('x'.repeat(99));
});

it('is free again when its worker has left', () => {
  const names = new WorkerNames();
  names.take('ann');
  names.take('ann');
  names.free('ann');
  expect([names.take('Ann'), names.take('ann')]).toEqual(['Ann', 'ann (3)']);
});
